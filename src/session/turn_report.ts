/**
 * The report of a turn: what its client sent along to be told again, and how it ended. Kept as JSON
 * in the store's `note` blob, which no turn reads.
 */

import { InferenceError } from "../core/errors.ts";
import type { FinishReason, Usage } from "./session_types.ts";

/** What is kept for the client of a turn. */
export interface TurnReport {
  /** The request's, any JSON. */
  note: unknown;
  /** Epoch milliseconds. */
  created: number;
  /** `null`: the turn is under way, or was when its worker ended. */
  end: ReportedEnd | null;
}

/** How a turn ended. */
export interface ReportedEnd {
  /** Why. */
  finishReason: FinishReason;
  /** Tokens read and written. */
  usage: Usage;
  /** What the turn added to the reply. */
  text: string;
}

export function encodeReport(report: TurnReport): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ ...report, version: 1 }));
}

/** @throws InferenceError `state_damaged` for a report of another version. */
export function decodeReport(bytes: Uint8Array): TurnReport {
  const { version, note, created, end } = JSON.parse(new TextDecoder().decode(bytes));
  if (version === 1) return { note, created, end };
  throw new InferenceError(
    "state_damaged",
    `Cannot read a report of version ${String(version)}: this worker reads 1`,
    { param: "state_id" },
  );
}

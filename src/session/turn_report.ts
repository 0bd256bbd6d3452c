/**
 * The report of a turn: what its client sent along to be told again, and how it ended. Kept as JSON
 * in the store's `note` blob, which no turn reads.
 */

import { InferenceError } from "../core/errors.ts";
import type { TurnReport } from "./session_api.ts";

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

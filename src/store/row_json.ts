/**
 * Rows that are JSON, as a store gives them back. Whoever else writes to it, or damages it, gets no
 * further than here: a row is one that a worker may have written, or it is refused.
 */

import { InferenceError } from "../core/errors.ts";

/** The largest time of a `Date`. */
const LAST_TIME = 8.64e15;

export interface RowOptions {
  /** What messages say it is: `state "state_…"`. */
  kind: string;
  /** What messages call the row itself. */
  row: string;
  /** The request field that led to it. */
  param?: string | undefined;
}

/**
 * The fields of a row of version 1.
 *
 * @throws InferenceError `state_damaged`
 */
export function decodeRow(bytes: Uint8Array, options: RowOptions): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damagedRow(`${options.row} is not JSON`, { ...options, cause });
  }
  const fields = isFields(value) ? value : {};
  const version = fields.version;
  if (version === 1) return fields;
  const known = typeof version === "number";
  throw damagedRow(
    known
      ? `${options.row} has version ${version}, this worker reads 1; ` +
        "a worker like the one that wrote it resumes it"
      : `${options.row} lacks fields`,
    options,
  );
}

/** The error of a row that can't be read. */
export function damagedRow(
  problem: string,
  { kind: what, param, cause }: RowOptions & { cause?: unknown },
): InferenceError {
  return new InferenceError("state_damaged", `Cannot read ${what}: ${problem}`, { param, cause });
}

export function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is a time that a `Date` can have, in epoch milliseconds. */
export function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= LAST_TIME;
}

export function isStringOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

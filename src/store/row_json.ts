/**
 * Parsing of JSON rows. Rows are validated completely, because the database may be damaged or
 * written to by others.
 */

import { InferenceError } from "../core/errors.ts";

/** The latest time of a `Date`. */
const LAST_TIME = 8.64e15;

export interface RowOptions {
  /** Name of the object in error messages, such as `state "state_…"`. */
  kind: string;
  /** Name of the row in error messages. */
  row: string;
  /** The request field that named the object. */
  param?: string | undefined;
}

/**
 * Returns the fields of a row of version 1.
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
      ? `${options.row} has version ${version} and this worker reads version 1; ` +
        "use a worker of the version that wrote it"
      : `${options.row} lacks fields`,
    options,
  );
}

/** Returns the error for a row that cannot be read. */
export function damagedRow(
  problem: string,
  { kind, param, cause }: RowOptions & { cause?: unknown },
): InferenceError {
  return new InferenceError("state_damaged", `Cannot read ${kind}: ${problem}`, { param, cause });
}

export function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns whether a value is a valid time of a `Date`, in epoch milliseconds. */
export function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= LAST_TIME;
}

export function isStringOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

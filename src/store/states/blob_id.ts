/**
 * Blob ids: 12 hexadecimal digits of epoch milliseconds and 36 random digits. Garbage
 * collection recognizes chunks of a running write by the time. Unlike a state id, a blob id is not secret.
 */

import { toHex } from "../../core/hex.ts";
import type { RandomBytes } from "./state_id.ts";

const TIME_DIGITS = 12;
const RANDOM_BYTES = 18;

/** When ids with a time were introduced. */
const FIRST_TIME = Date.UTC(2026, 10, 1);

/** @param now Epoch milliseconds, before the first chunk is written. */
export function newBlobId(now: number, random: RandomBytes): string {
  const time = Math.floor(now).toString(16).padStart(TIME_DIGITS, "0");
  return time + toHex(random(RANDOM_BYTES));
}

/**
 * Returns when the first chunk of a blob was written, in epoch milliseconds.
 *
 * Old ids were entirely random. Most of them look like a time in the far future, and those that look
 * older than the format return `Infinity`: such blobs are never old, and the database expires them.
 */
export function blobTime(id: string): number {
  const time = parseInt(id.slice(0, TIME_DIGITS), 16);
  return time >= FIRST_TIME ? time : Infinity;
}

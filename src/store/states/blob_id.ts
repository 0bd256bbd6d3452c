/**
 * Blob ids: 12 hexadecimal digits of epoch milliseconds, then 36 random ones. Garbage collection
 * tells by the time which chunks may be those of a write that is under way. Unlike a state's id, a
 * blob's is no secret.
 */

import { toHex } from "../../core/hex.ts";
import type { RandomBytes } from "./state_id.ts";

const TIME_DIGITS = 12;
const RANDOM_BYTES = 18;

/** No id had a time before. */
const FIRST_TIME = Date.UTC(2026, 10, 1);

/** @param now Epoch milliseconds, when the blob's first chunk is about to be written. */
export function newBlobId(now: number, random: RandomBytes): string {
  const time = Math.floor(now).toString(16).padStart(TIME_DIGITS, "0");
  return time + toHex(random(RANDOM_BYTES));
}

/**
 * When a blob's first chunk was written, epoch milliseconds.
 *
 * Ids were wholly random once. Most of those read as a time in the far future, and the few that read
 * as one before there were any count as infinite: such blobs are never old, and are left to expire
 * by themselves.
 */
export function blobTime(id: string): number {
  const time = parseInt(id.slice(0, TIME_DIGITS), 16);
  return time >= FIRST_TIME ? time : Infinity;
}

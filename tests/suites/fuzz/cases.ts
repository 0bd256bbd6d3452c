/**
 * Runs the cases of a target. A case derives from the seed and its number alone, so that it can be
 * repeated.
 */

import { InferenceError } from "../../../src/core/errors.ts";
import { Random } from "../../support/random_data.ts";
import { takeAllocatedBytes } from "./allocations.ts";
import { mutated } from "./mutator.ts";
import type { Outcome, Target } from "./target.ts";

/** Returns the bytes of a case. */
export function caseBytes(target: Target, seed: number, index: number): Uint8Array<ArrayBuffer> {
  // Adjacent cases must have unrelated seeds.
  return mutated(
    target,
    new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)),
  );
}

/** Runs a target on bytes and returns the outcome. */
export async function outcomeOf(
  target: Target,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Outcome> {
  const { length } = bytes;
  takeAllocatedBytes();
  let outcome: Outcome;
  try {
    outcome = await target.read(bytes);
  } catch (error) {
    if (!(error instanceof InferenceError)) return { fault: describeError(error) };
    const fault = messageFault(error, length);
    if (fault !== null) return { fault };
    outcome = "rejected";
  }
  const allocated = takeAllocatedBytes();
  const limit = target.allocates(length);
  if (allocated <= limit) return outcome;
  return {
    fault: `${allocated} bytes were allocated to read ${length}; at most ${limit} are allowed`,
  };
}

/** Error messages must stay readable, whatever the file contains. */
function messageFault({ message }: InferenceError, length: number): string | null {
  if (message === "") return "the error has no message";
  return message.length <= Math.max(4096, length)
    ? null
    : `the error's message has ${message.length} characters`;
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `${error} was thrown`;
  return (error.stack ?? `${error.name}: ${error.message}`).slice(0, 1200);
}

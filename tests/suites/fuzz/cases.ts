/** Runs cases of a target: each is made of the seed and its number alone, so that it can be run again. */

import { InferenceError } from "../../../src/core/errors.ts";
import { Random } from "../../support/random_data.ts";
import { takeAllocated } from "./allocations.ts";
import { mutated } from "./mutator.ts";
import type { Outcome, Target } from "./target.ts";

/** The bytes of a case. */
export function caseBytes(target: Target, seed: number, index: number): Uint8Array<ArrayBuffer> {
  // Neighbours differ in all bits.
  return mutated(
    target,
    new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)),
  );
}

/** What a target makes of bytes. */
export async function outcomeOf(
  target: Target,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Outcome> {
  const { length } = bytes;
  takeAllocated();
  let outcome: Outcome;
  try {
    outcome = await target.read(bytes);
  } catch (error) {
    if (!(error instanceof InferenceError)) return { fault: shown(error) };
    const fault = messageFault(error, length);
    if (fault !== null) return { fault };
    outcome = "refused";
  }
  const allocated = takeAllocated();
  const most = target.allocates(length);
  if (allocated <= most) return outcome;
  return { fault: `${allocated} bytes were asked for to read ${length}, at most ${most} may be` };
}

/** A message is for people, whatever the file holds. */
function messageFault({ message }: InferenceError, length: number): string | null {
  if (message === "") return "the error has no message";
  return message.length <= Math.max(4096, length)
    ? null
    : `the error's message has ${message.length} characters`;
}

function shown(error: unknown): string {
  if (!(error instanceof Error)) return `${error} was thrown`;
  return (error.stack ?? `${error.name}: ${error.message}`).slice(0, 1200);
}

/** Helpers for tests with damaged files. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../../src/formats/checkpoint.ts";

export function open(bytes: Uint8Array, name = "test.bin"): Promise<Checkpoint> {
  return openCheckpoint(new MemorySource(name, bytes));
}

/** Asserts that opening or reading the file fails with a matching message. */
export async function assertRejected(bytes: Uint8Array, message: RegExp): Promise<void> {
  await assert.rejects(readAll(bytes), (error: unknown) => {
    assert(error instanceof InferenceError, `${error}`);
    assert.equal(error.code, "invalid_checkpoint");
    assert.match(error.message, /^test\.bin: /);
    assert.match(error.message, message);
    return true;
  });
}

/** Opens a file and reads every tensor; any failure must be an InferenceError. */
export async function survives(bytes: Uint8Array, what: string): Promise<"read" | "refused"> {
  try {
    await readAll(bytes);
    return "read";
  } catch (error) {
    assert(error instanceof InferenceError, `${what}: ${error}`);
    assert.equal(error.code, "invalid_checkpoint", what);
    return "refused";
  }
}

async function readAll(bytes: Uint8Array): Promise<void> {
  const checkpoint = await open(bytes);
  for (const name of checkpoint.tensors.keys()) await checkpoint.read(name);
  await checkpoint.close();
}

/** A small random number generator (SplitMix32). */
export function testRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) % below;
  };
}

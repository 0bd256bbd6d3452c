/** Reads a request body as a stream. Rejects bodies that arrive too slowly or in too many chunks. */

import { InferenceError } from "../../src/core/errors.ts";
import { TimeSlice } from "../../src/core/time_slice.ts";
import { StallTimer } from "./stall_timer.ts";

/** Size of a block in bytes. */
const BLOCK_BYTES = 65_536;

/** Maximum chunks of a body: each costs about 40 µs and 2 kB of memory, even if it is tiny. */
export const MAX_CHUNKS = 65_536;

/**
 * Yields a body in blocks of 64 KiB, with a shorter last block. Larger chunks are yielded unchanged.
 *
 * @param stallTimeoutMs Maximum time between two chunks. Once three times this time has passed, it
 * also limits the average time per 64 KiB.
 * @throws InferenceError `request_timeout` if the body arrives too slowly, `invalid_value` if it has
 * too many chunks
 */
export async function* readBlocks(
  body: ReadableStream<Uint8Array> | null,
  stallTimeoutMs: number,
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  let block = new Uint8Array(BLOCK_BYTES);
  let length = 0;
  for await (const chunk of readTimed(body, stallTimeoutMs)) {
    if (length > 0 && length + chunk.length > BLOCK_BYTES) {
      yield block.subarray(0, length);
      [block, length] = [new Uint8Array(BLOCK_BYTES), 0];
    }
    if (chunk.length > BLOCK_BYTES) {
      yield chunk;
    } else {
      block.set(chunk, length);
      length += chunk.length;
    }
  }
  if (length > 0) yield block.subarray(0, length);
}

async function* readTimed(
  body: ReadableStream<Uint8Array>,
  stallTimeoutMs: number,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const start = performance.now();
  const slice = new TimeSlice();
  let [length, chunks, timedOut] = [0, 0, false];
  using stallTimer = new StallTimer({
    deadline: (since) =>
      Math.min(since + stallTimeoutMs, start + stallTimeoutMs * (3 + length / BLOCK_BYTES)),
    onTimeout: () => {
      timedOut = true;
      // Cancelling ends the pending read.
      reader.cancel().catch(() => {});
    },
  });
  try {
    while (true) {
      const { done, value } = await stallTimer.watch(reader.read());
      if (timedOut) throw tooSlow(length, performance.now() - start);
      if (done) return;
      length += value.length;
      if (++chunks > MAX_CHUNKS) throw tooManyChunks(length);
      yield value;
      // Reading a body that has fully arrived never yields to the event loop.
      if (slice.isOver) await slice.next();
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function tooSlow(length: number, milliseconds: number): InferenceError {
  const seconds = Math.ceil(milliseconds / 1000);
  return new InferenceError(
    "request_timeout",
    `The request body arrived too slowly: ${length} bytes in ${seconds} s; send it without pauses`,
  );
}

function tooManyChunks(length: number): InferenceError {
  return new InferenceError(
    "invalid_value",
    `The request body has more than ${MAX_CHUNKS} chunks for ${length} bytes; send larger chunks`,
  );
}

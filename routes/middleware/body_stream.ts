/** A request body as it comes: given up where it comes too slowly, or in too many pieces. */

import { InferenceError } from "../../src/core/errors.ts";
import { TimeSlice } from "../../src/core/time_slice.ts";
import { StallTimer } from "./stall_timer.ts";

/** Bytes of a block. */
const BLOCK = 65_536;

/** Pieces of a body at most: each costs some 40 µs, and 2 kB while it is kept, however small it is. */
export const MAX_CHUNKS = 65_536;

/**
 * A body's bytes in blocks of 64 KiB, the last one shorter; pieces that are larger are passed on as
 * they are.
 *
 * @param pause Milliseconds between two pieces at most, and, once three times that is over, on average
 * for every 64 KiB.
 * @throws InferenceError `request_timeout` where pieces are too long in coming, `invalid_value` where
 * there are too many
 */
export async function* readBlocks(
  body: ReadableStream<Uint8Array> | null,
  pause: number,
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  let block = new Uint8Array(BLOCK);
  let length = 0;
  for await (const piece of inTime(body, pause)) {
    if (length > 0 && length + piece.length > BLOCK) {
      yield block.subarray(0, length);
      [block, length] = [new Uint8Array(BLOCK), 0];
    }
    if (piece.length > BLOCK) {
      yield piece;
    } else {
      block.set(piece, length);
      length += piece.length;
    }
  }
  if (length > 0) yield block.subarray(0, length);
}

async function* inTime(
  body: ReadableStream<Uint8Array>,
  pause: number,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const start = performance.now();
  const slice = new TimeSlice();
  let [length, pieces, late] = [0, 0, false];
  using watch = new StallTimer({
    deadline: (since) => Math.min(since + pause, start + pause * (3 + length / BLOCK)),
    onTimeout: () => {
      late = true;
      // What is being read ends by this.
      reader.cancel().catch(() => {});
    },
  });
  try {
    while (true) {
      const { done, value } = await watch.watch(reader.read());
      if (late) throw tooSlow(length, performance.now() - start);
      if (done) return;
      length += value.length;
      if (++pieces > MAX_CHUNKS) throw tooManyPieces(length);
      yield value;
      // Reading a body whose bytes are all here never waits for the event loop.
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
    `The request body came too slowly: ${length} bytes in ${seconds} s; send it without a pause`,
  );
}

function tooManyPieces(length: number): InferenceError {
  return new InferenceError(
    "invalid_value",
    `The request body has come in ${MAX_CHUNKS} pieces, with ${length} bytes in all; ` +
      "send it in larger ones",
  );
}

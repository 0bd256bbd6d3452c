/**
 * Splits long synchronous work into time slices, so that the event loop serves other requests in
 * between.
 */

/** Milliseconds that work may take before it yields. */
const SLICE_MS = 8;

/** The time slice of one piece of work, which begins when this is made. */
export class TimeSlice {
  #end = performance.now() + SLICE_MS;

  /** Whether the work has used up its slice and should `await` {@linkcode TimeSlice.next}. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** Yields to the event loop; the next slice begins when it resolves. */
  async next(): Promise<void> {
    await yieldToEventLoop();
    this.#end = performance.now() + SLICE_MS;
  }
}

/** Resolves in a later turn of the event loop, after the events that are waiting now. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Bytes that are copied before the slice is looked at again. */
const COPY_BYTES = 4 * 1024 * 1024;

/** Concatenates `parts`, which may have many megabytes, in time slices. */
export async function joinInSlices(parts: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  const slice = new TimeSlice();
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += COPY_BYTES) {
      whole.set(part.subarray(at, at + COPY_BYTES), end + at);
      if (slice.isOver) await slice.next();
    }
    end += part.length;
  }
  return whole;
}

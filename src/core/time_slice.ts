/**
 * Splits long synchronous work into time slices, so that the event loop serves other requests in
 * between.
 */

/** Milliseconds of work between two yields. */
const SLICE_MS = 8;

/** A time slice for a long task; it starts when the object is created. */
export class TimeSlice {
  #end = performance.now() + SLICE_MS;

  /** Whether the slice is used up and the task should `await` {@linkcode TimeSlice.next}. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** Yields to the event loop; the next slice starts when this resolves. */
  async next(): Promise<void> {
    await yieldToEventLoop();
    this.#end = performance.now() + SLICE_MS;
  }
}

/** Resolves in a later iteration of the event loop, after the events that are pending now. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Bytes copied between two checks of the time slice. */
const COPY_BYTES = 4 * 1024 * 1024;

/** Concatenates `parts`, which may total many megabytes, in time slices. */
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

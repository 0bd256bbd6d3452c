/** Measures the heap of a thread after a garbage collection. */

/**
 * V8 flags that the measurements need. By default V8 may grow each thread's young generation to
 * three semi-spaces of 16 MB and never shrinks it. A small maximum prevents the bench from
 * reporting that growth as a leak.
 */
export const V8_FLAGS = "--v8-flags=--expose-gc,--max-semi-space-size=4";

/** Bytes of a thread's live objects, and of memory outside the heap such as array buffers. */
export interface ThreadMemory {
  heapUsed: number;
  external: number;
}

/** Collects this thread's garbage and returns its memory usage; needs `--expose-gc`. */
export async function heapAfterGc(): Promise<ThreadMemory> {
  // Objects that finalizers release are only collected in the next round.
  for (let i = 0; i < 3; i++) {
    (globalThis as unknown as { gc: () => void }).gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = Deno.memoryUsage();
  return { heapUsed, external };
}

/** Returns the heap usage of a Worker that calls {@linkcode replyWithHeapUsage}. */
export async function workerHeapAfterGc(worker: Worker): Promise<ThreadMemory> {
  const { port1, port2 } = new MessageChannel();
  const { promise, resolve } = Promise.withResolvers<ThreadMemory>();
  port1.onmessage = ({ data }) => resolve(data);
  worker.postMessage(port2, [port2]);
  const memory = await promise;
  port1.close();
  return memory;
}

/** Replies to a heap usage request; returns whether the message was such a request. */
export function replyWithHeapUsage({ data }: MessageEvent): boolean {
  if (!(data instanceof MessagePort)) return false;
  heapAfterGc().then((memory) => data.postMessage(memory));
  return true;
}

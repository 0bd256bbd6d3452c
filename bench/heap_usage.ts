/** A look at what threads hold when their garbage is gone. */

/**
 * What V8 needs for it. It lets room for new objects grow to 16 MB, three times a thread, whenever it
 * likes, and collections do not take it back: kept small, it is not taken for a leak.
 */
export const V8_FLAGS = "--v8-flags=--expose-gc,--max-semi-space-size=4";

/** Bytes that a thread's live objects take, and array buffers beside them. */
export interface ThreadMemory {
  heapUsed: number;
  external: number;
}

/** Collects this thread's garbage; needs `--expose-gc`. */
export async function heapAfterGc(): Promise<ThreadMemory> {
  // What finalizers let go is garbage of the next round.
  for (let i = 0; i < 3; i++) {
    (globalThis as unknown as { gc: () => void }).gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = Deno.memoryUsage();
  return { heapUsed, external };
}

/** What the thread of a Worker holds, which answers by {@linkcode replyWithHeapUsage}. */
export async function workerHeapAfterGc(worker: Worker): Promise<ThreadMemory> {
  const { port1, port2 } = new MessageChannel();
  const { promise, resolve } = Promise.withResolvers<ThreadMemory>();
  port1.onmessage = ({ data }) => resolve(data);
  worker.postMessage(port2, [port2]);
  const memory = await promise;
  port1.close();
  return memory;
}

/** Answers a message that asks what this thread holds; whether it was one. */
export function replyWithHeapUsage({ data }: MessageEvent): boolean {
  if (!(data instanceof MessagePort)) return false;
  heapAfterGc().then((memory) => data.postMessage(memory));
  return true;
}

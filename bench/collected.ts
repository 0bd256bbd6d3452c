/** A look at what a thread holds when its garbage is gone. */

/** Bytes that a thread's live objects take, and array buffers beside them. */
export interface ThreadMemory {
  heapUsed: number;
  external: number;
}

/** Collects this thread's garbage; needs `--v8-flags=--expose-gc`. */
export async function collected(): Promise<ThreadMemory> {
  // What finalizers let go is garbage of the next round.
  for (let i = 0; i < 3; i++) {
    (globalThis as unknown as { gc: () => void }).gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = Deno.memoryUsage();
  return { heapUsed, external };
}

/** Stop signals: SIGINT (Ctrl-C) and SIGTERM. */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Calls `stop` on each stop signal instead of ending the process. Returns a function that removes
 * the listeners.
 */
export function onStopSignals(stop: () => void): () => void {
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  return () => {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
  };
}

/**
 * Runs `work` with an abort signal that Ctrl-C and SIGTERM trigger, so that `work` can clean up.
 */
export async function withInterruptSignal<T>(
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const done = onStopSignals(() => controller.abort());
  try {
    return await work(controller.signal);
  } finally {
    done();
  }
}

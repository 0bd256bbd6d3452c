/** Ctrl-C and SIGTERM: what asks a command to stop. */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Calls `stop` at each of them, in place of ending the process; returns what ends that. */
export function onStopSignals(stop: () => void): () => void {
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  return () => {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
  };
}

/** Runs `work` with a signal that Ctrl-C and SIGTERM abort, so that it cleans up behind itself. */
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

/** Reads counters from the metrics of real workers. */

/** Sums over all workers. */
export interface Counters {
  steps: number;
  read: number;
}

const METRICS: Readonly<Record<keyof Counters, string>> = {
  steps: "rwkv:engine_steps_total",
  read: "rwkv:engine_prefill_tokens_total",
};

export async function readCounters(urls: readonly string[]): Promise<Counters> {
  const texts = await Promise.all(
    urls.map(async (url) => await (await fetch(`${url}/metrics`)).text()),
  );
  const sum = (name: string) =>
    texts.reduce(
      (sum, text) => sum + Number(text.match(new RegExp(`^${name} (\\S+)`, "m"))![1]),
      0,
    );
  return { steps: sum(METRICS.steps), read: sum(METRICS.read) };
}

/**
 * Computes the rates that simulated workers report. `written` is the number of generated tokens per
 * second that the clients measured.
 */
export function counterRates(
  [before, after]: readonly Counters[],
  { seconds, written }: { seconds: number; written: number },
) {
  return {
    batch: written * seconds / (after.steps - before.steps),
    read_per_second: (after.read - before.read) / seconds,
  };
}

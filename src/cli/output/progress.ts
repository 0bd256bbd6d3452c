/** A progress bar on stderr with rate and remaining time. Shown on terminals only. */

// @ts-types="./cli_progress.d.ts"
import { SingleBar } from "cli-progress";
import { formatBytes, formatDuration } from "../../core/units.ts";

/** Shorter work shows no bar, because nobody could read it in time. */
const DELAY_MS = 700;

export interface Progress {
  update(done: number, total: number): void;
  /** Removes the bar. Later updates are ignored. */
  end(): void;
}

/**
 * Creates a progress bar.
 *
 * @param amount Formats a number of units.
 */
export function progressBar(
  label: string,
  amount: (count: number) => string = formatBytes,
): Progress {
  if (!Deno.stderr.isTerminal()) return { update: () => {}, end: () => {} };
  const bar = new SingleBar({
    format: `${label} {bar} {percentage} % | {amount} | {rate} | {left} left`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 24,
    clearOnComplete: true,
    hideCursor: true,
    linewrap: false,
  });
  // Measures the rate from the first update, because work may start late or be partly done already.
  let start: { at: number; done: number } | undefined;
  let shown = false, ended = false;
  return {
    update(done, total) {
      start ??= { at: performance.now(), done };
      const elapsed = performance.now() - start.at;
      if (ended || elapsed < DELAY_MS || done === start.done) return;
      const rate = (done - start.done) / elapsed * 1000;
      const payload = {
        amount: `${amount(done)} of ${amount(total)}`,
        rate: `${amount(Number(rate.toPrecision(3)))}/s`,
        left: formatDuration((total - done) / rate),
      };
      if (!shown) bar.start(total, done, payload);
      else bar.update(done, payload);
      shown = true;
    },
    end() {
      if (shown && !ended) bar.stop();
      ended = true;
    },
  };
}

/** Runs `work` with a progress bar and removes the bar at the end. */
export async function withProgress<T>(
  label: string,
  work: (onProgress: Progress["update"]) => Promise<T>,
  amount?: (count: number) => string,
): Promise<T> {
  const bar = progressBar(label, amount);
  try {
    return await work(bar.update);
  } finally {
    bar.end();
  }
}

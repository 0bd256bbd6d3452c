/**
 * Fuzzes one target. Cases run in a separate thread, which this module watches. A case that takes
 * too long or too much memory is repeated alone before it counts, because the machine may have been
 * busy. If it fails again it is a finding, and a new thread continues after it.
 */

import type { BatchResult, FuzzJob } from "./fuzz_worker.ts";

export interface FuzzOptions {
  target: string;
  seed: number;
  /** The first case, and the number of cases. */
  from?: number | undefined;
  cases: number;
  /** Maximum milliseconds of a case. */
  limitMs: number;
  /** Maximum growth of this process within a batch, in bytes. */
  limitBytes?: number | undefined;
  /** Called with the number of completed cases. */
  onProgress?: ((done: number) => void) | undefined;
}

/** A case that failed. */
export interface Finding {
  index: number;
  fault: string;
}

export interface FuzzResult {
  cases: number;
  accepted: number;
  rejected: number;
  slowestMs: number;
  findings: Finding[];
}

/** Number of cases in one job of the thread. */
const BATCH = 500;

/** Number of findings after which the fuzzer stops. */
const MAX_FINDINGS = 20;

const LIMIT_BYTES = 1024 ** 3;

/** Interval of checks on the thread, in milliseconds. */
const CHECK_INTERVAL_MS = 25;

/** Maximum time for a thread to load its modules, in milliseconds. */
const START_MS = 60_000;

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { target, seed, from = 0, cases, onProgress = () => {} } = options;
  const result: FuzzResult = { cases: 0, accepted: 0, rejected: 0, slowestMs: 0, findings: [] };
  let thread = takeThread(options);
  try {
    const end = from + cases;
    for (let index = from; index < end && result.findings.length < MAX_FINDINGS;) {
      const to = Math.min(end, index + BATCH);
      const outcome = await thread.run({ target, seed, from: index, to });
      if ("stopped" in outcome) {
        thread = new Thread(options);
        // The cases before it passed but their results were lost with the thread; run them again.
        const finding = await runAlone(options, outcome.index);
        if (finding) result.findings.push(finding);
        const before = outcome.index > index
          ? await thread.run({ target, seed, from: index, to: outcome.index })
          : null;
        if (before && "accepted" in before) add(result, before);
        result.cases += outcome.index + 1 - index;
        index = outcome.index + 1;
      } else {
        if (outcome.slowest.ms > options.limitMs) {
          const finding = await runAlone(options, outcome.slowest.index);
          if (finding && !outcome.findings.some(({ index }) => index === finding.index)) {
            result.findings.push(finding);
          }
        }
        add(result, outcome);
        result.cases += to - index;
        index = to;
      }
      onProgress(result.cases);
    }
    idle = thread;
  } catch (error) {
    thread.end();
    throw error;
  }
  return result;
}

/** A thread with all modules loaded, kept for the next target. */
let idle: Thread | undefined;

function takeThread(options: FuzzOptions): Thread {
  const thread = idle ?? new Thread(options);
  idle = undefined;
  thread.watchBy(options);
  return thread;
}

/** Terminates the idle thread. */
export function endFuzzer(): void {
  idle?.end();
  idle = undefined;
}

/** Runs one given input. */
export async function fuzzBytes(
  options: Pick<FuzzOptions, "target" | "limitMs">,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<FuzzResult> {
  const thread = new Thread(options);
  const result: FuzzResult = { cases: 1, accepted: 0, rejected: 0, slowestMs: 0, findings: [] };
  try {
    const { target } = options;
    const outcome = await thread.run({ target, seed: 0, from: 0, to: 1, bytes });
    if ("stopped" in outcome) result.findings.push({ index: 0, fault: outcome.stopped });
    else add(result, outcome);
  } finally {
    thread.end();
  }
  return result;
}

function add(result: FuzzResult, { accepted, rejected, slowest, findings }: BatchResult): void {
  result.accepted += accepted;
  result.rejected += rejected;
  result.slowestMs = Math.max(result.slowestMs, slowest.ms);
  result.findings.push(...findings);
}

/** Repeats a case in a fresh thread; returns a finding if it is still too slow or too large. */
async function runAlone(options: FuzzOptions, index: number): Promise<Finding | null> {
  const { target, seed, limitMs } = options;
  const thread = new Thread(options);
  try {
    for (let attempt = 0;; attempt++) {
      const outcome = await thread.run({ target, seed, from: index, to: index + 1 });
      if ("stopped" in outcome) return { index, fault: outcome.stopped };
      const [finding] = outcome.findings;
      if (finding) return finding;
      if (outcome.slowest.ms <= limitMs) return null;
      if (attempt === 1) return { index, fault: `it took ${Math.round(outcome.slowest.ms)} ms` };
    }
  } finally {
    thread.end();
  }
}

interface Stopped {
  index: number;
  /** The reason. */
  stopped: string;
}

class Thread {
  #limitMs = 0;
  #limitBytes = LIMIT_BYTES;
  readonly #worker = new Worker(import.meta.resolve("./fuzz_worker.ts"), { type: "module" });
  /** The current case, and the number of started cases. */
  readonly #at = new Int32Array(new SharedArrayBuffer(8));

  constructor(limits: Pick<FuzzOptions, "limitMs" | "limitBytes">) {
    this.watchBy(limits);
  }

  watchBy(
    { limitMs, limitBytes = LIMIT_BYTES }: Pick<FuzzOptions, "limitMs" | "limitBytes">,
  ): void {
    // A slow case is detected by its measured time; this limit stops cases that never end.
    this.#limitMs = 5 * limitMs;
    this.#limitBytes = limitBytes;
  }

  /**
   * Terminates the thread. A busy thread continues until it yields, because the platform cannot
   * stop it earlier.
   */
  end(): void {
    this.#worker.terminate();
  }

  async run(job: Omit<FuzzJob, "at">): Promise<BatchResult | Stopped> {
    const { promise, resolve, reject } = Promise.withResolvers<BatchResult | Stopped>();
    this.#worker.onmessage = ({ data }: MessageEvent<BatchResult>) => resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`The fuzzing thread failed: ${event.message}`));
    };
    let baseline = Deno.memoryUsage().rss;
    let startedCases = Atomics.load(this.#at, 1);
    let since = performance.now();
    const startedBefore = startedCases;
    const timer = setInterval(() => {
      const now = Atomics.load(this.#at, 1);
      // Memory of loaded modules does not count towards a case.
      if (startedCases === startedBefore) baseline = Deno.memoryUsage().rss;
      if (now !== startedCases) [startedCases, since] = [now, performance.now()];
      const index = startedCases === startedBefore ? job.from : Atomics.load(this.#at, 0);
      const ms = performance.now() - since;
      const grown = Deno.memoryUsage().rss - baseline;
      const timedOut = ms > (startedCases === 0 ? START_MS : this.#limitMs);
      if (!timedOut && grown <= this.#limitBytes) return;
      this.end();
      const stopped = timedOut
        ? `it was stopped after ${Math.round(ms)} ms`
        : `it was stopped when the process had grown by ${grown} bytes`;
      resolve({ index, stopped });
    }, CHECK_INTERVAL_MS);
    this.#worker.postMessage({ ...job, at: this.#at });
    try {
      return await promise;
    } finally {
      clearInterval(timer);
    }
  }
}

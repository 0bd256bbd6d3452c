/**
 * Fuzzes one target: cases run in a thread of their own, and are watched from here. One that takes
 * too long, or too much memory, is run again alone before it counts, as the machine may have been
 * busy; then it is a finding, and the thread is begun anew behind it.
 */

import type { Order, Told } from "./fuzz_worker.ts";

export interface FuzzOptions {
  target: string;
  seed: number;
  /** The first case, and how many there are. */
  from?: number | undefined;
  cases: number;
  /** Milliseconds that a case may take. */
  limitMs: number;
  /** Bytes by which this process may grow within a batch. */
  limitBytes?: number | undefined;
  /** Told how many cases are done. */
  onProgress?: ((done: number) => void) | undefined;
}

/** A case in which something that must hold does not. */
export interface Finding {
  index: number;
  fault: string;
}

export interface FuzzResult {
  cases: number;
  taken: number;
  refused: number;
  slowestMs: number;
  findings: Finding[];
}

/** Cases that the thread is told to run at once. */
const BATCH = 500;

/** Cases with which the fuzzer gives up a target. */
const MOST_FINDINGS = 20;

const LIMIT_BYTES = 1024 ** 3;

/** How often the thread is looked at, in milliseconds. */
const LOOK_MS = 25;

/** Longer than a thread takes to load its modules, in milliseconds. */
const START_MS = 60_000;

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { target, seed, from = 0, cases, onProgress = () => {} } = options;
  const result: FuzzResult = { cases: 0, taken: 0, refused: 0, slowestMs: 0, findings: [] };
  let thread = takeThread(options);
  try {
    const end = from + cases;
    for (let index = from; index < end && result.findings.length < MOST_FINDINGS;) {
      const to = Math.min(end, index + BATCH);
      const ran = await thread.run({ target, seed, from: index, to });
      if ("stopped" in ran) {
        thread = new Thread(options);
        // What came before it was fine, or it would have been the one that was stopped; not told.
        const alone = await runAlone(options, ran.index);
        if (alone) result.findings.push(alone);
        const before = ran.index > index
          ? await thread.run({ target, seed, from: index, to: ran.index })
          : null;
        if (before && "taken" in before) add(result, before);
        result.cases += ran.index + 1 - index;
        index = ran.index + 1;
      } else {
        if (ran.slowest.ms > options.limitMs) {
          const alone = await runAlone(options, ran.slowest.index);
          if (alone && !ran.findings.some(({ index }) => index === alone.index)) {
            result.findings.push(alone);
          }
        }
        add(result, ran);
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

/** A thread that has all modules, for the next target. */
let idle: Thread | undefined;

function takeThread(options: FuzzOptions): Thread {
  const thread = idle ?? new Thread(options);
  idle = undefined;
  thread.watchBy(options);
  return thread;
}

/** Ends the thread that waits for another target. */
export function endFuzzer(): void {
  idle?.end();
  idle = undefined;
}

/** One input, whatever it was made by. */
export async function fuzzBytes(
  options: Pick<FuzzOptions, "target" | "limitMs">,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<FuzzResult> {
  const thread = new Thread(options);
  const result: FuzzResult = { cases: 1, taken: 0, refused: 0, slowestMs: 0, findings: [] };
  try {
    const { target } = options;
    const ran = await thread.run({ target, seed: 0, from: 0, to: 1, bytes });
    if ("stopped" in ran) result.findings.push({ index: 0, fault: ran.stopped });
    else add(result, ran);
  } finally {
    thread.end();
  }
  return result;
}

function add(result: FuzzResult, { taken, refused, slowest, findings }: Told): void {
  result.taken += taken;
  result.refused += refused;
  result.slowestMs = Math.max(result.slowestMs, slowest.ms);
  result.findings.push(...findings);
}

/** Whether a case is slow or greedy also in a thread that has done nothing else but warm up. */
async function runAlone(options: FuzzOptions, index: number): Promise<Finding | null> {
  const { target, seed, limitMs } = options;
  const thread = new Thread(options);
  try {
    for (let attempt = 0;; attempt++) {
      const ran = await thread.run({ target, seed, from: index, to: index + 1 });
      if ("stopped" in ran) return { index, fault: ran.stopped };
      const [finding] = ran.findings;
      if (finding) return finding;
      if (ran.slowest.ms <= limitMs) return null;
      if (attempt === 1) return { index, fault: `it took ${Math.round(ran.slowest.ms)} ms` };
    }
  } finally {
    thread.end();
  }
}

interface Stopped {
  index: number;
  /** Why it was stopped. */
  stopped: string;
}

class Thread {
  #limitMs = 0;
  #limitBytes = LIMIT_BYTES;
  readonly #worker = new Worker(import.meta.resolve("./fuzz_worker.ts"), { type: "module" });
  /** The case under way, and how many have been begun. */
  readonly #at = new Int32Array(new SharedArrayBuffer(8));

  constructor(limits: Pick<FuzzOptions, "limitMs" | "limitBytes">) {
    this.watchBy(limits);
  }

  watchBy(
    { limitMs, limitBytes = LIMIT_BYTES }: Pick<FuzzOptions, "limitMs" | "limitBytes">,
  ): void {
    // One that is slow is told by its time; this is for those that never end.
    this.#limitMs = 5 * limitMs;
    this.#limitBytes = limitBytes;
  }

  /** A thread that is busy goes on until it yields: the platform ends it no earlier. */
  end(): void {
    this.#worker.terminate();
  }

  async run(order: Omit<Order, "at">): Promise<Told | Stopped> {
    const { promise, resolve, reject } = Promise.withResolvers<Told | Stopped>();
    this.#worker.onmessage = ({ data }: MessageEvent<Told>) => resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`the fuzzing thread failed: ${event.message}`));
    };
    let baseline = Deno.memoryUsage().rss;
    let begun = Atomics.load(this.#at, 1);
    let since = performance.now();
    const started = begun;
    const timer = setInterval(() => {
      const now = Atomics.load(this.#at, 1);
      // Modules that are loaded are no case's.
      if (begun === started) baseline = Deno.memoryUsage().rss;
      if (now !== begun) [begun, since] = [now, performance.now()];
      const index = begun === started ? order.from : Atomics.load(this.#at, 0);
      const ms = performance.now() - since;
      const grown = Deno.memoryUsage().rss - baseline;
      const late = ms > (begun === 0 ? START_MS : this.#limitMs);
      if (!late && grown <= this.#limitBytes) return;
      this.end();
      const stopped = late
        ? `it was stopped after ${Math.round(ms)} ms`
        : `it was stopped when the process had grown by ${grown} bytes`;
      resolve({ index, stopped });
    }, LOOK_MS);
    this.#worker.postMessage({ ...order, at: this.#at });
    try {
      return await promise;
    } finally {
      clearInterval(timer);
    }
  }
}

/** Simulates a fleet of workers behind a load balancer without sticky sessions, and its clients. */

import { DEFAULT_ENGINE_SIZES } from "../src/server/open_engine.ts";
import { VirtualClock } from "./clock.ts";
import { Cores } from "./cores.ts";
import { type Conversation, conversations, type Load } from "./load.ts";
import { computeFigures, type Figures, type TurnTimes, type Window } from "./turn_times.ts";
import { SimulatedWorker, type WorkerOptions } from "./worker.ts";

/** Balancing policies: each worker in turn, or the worker with the fewest turns in progress. */
export const BALANCERS = ["round-robin", "least"] as const;

export interface FleetOptions {
  workers: number;
  balancer: (typeof BALANCERS)[number];
  worker: Omit<WorkerOptions, "maxStepTokens">;
  /** Cores that all workers share; Infinity gives each its own device. */
  cores: number;
  load: Load;
  seed: number;
  /** Seconds before the measurement, and of the measurement. */
  warmup: number;
  seconds: number;
}

/** Metrics of the workers within the measurement window. */
export interface WorkerFigures {
  /** Fraction of the time for which engines were busy: the mean, and the busiest engine. */
  utilisation: { mean: number; max: number };
  /** Mean number of tokens generated per step. */
  batch: number;
  steps_per_second: number;
  /** Prompt tokens. */
  read_per_second: number;
  /** States found in their slot, loaded from the store (the others were in memory), and saved. */
  states: { warm_per_second: number; loads_per_second: number; saves_per_second: number };
}

export interface Simulated {
  turns: TurnTimes[];
  figures: Figures & WorkerFigures;
}

/** Simulates one fleet. Turns in progress at the window's end run to completion. */
export async function simulate(options: FleetOptions): Promise<Simulated> {
  const window = windowOf(options);
  const clock = new VirtualClock();
  const cores = new Cores(clock, options.cores);
  const workerOptions = { ...options.worker, maxStepTokens: DEFAULT_ENGINE_SIZES.maxStepTokens };
  const workers = Array.from(
    { length: options.workers },
    () => new SimulatedWorker(clock, cores, workerOptions),
  );
  const turns: TurnTimes[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const nextWorker = () =>
    options.balancer === "round-robin"
      ? workers[next++ % workers.length]
      : workers.reduce((best, worker) => worker.activeTurns < best.activeTurns ? worker : best);

  const runConversation = async (conversation: Conversation) => {
    const name = (turn: number) => `${conversation.number}/${turn}`;
    let parentId = conversation.hasState ? name(-1) : null;
    for (let index = 0; clock.now < window.to; index++) {
      const { think, ...turn } = conversation.turn(index);
      const times: TurnTimes = {
        requestedAt: clock.now,
        chunks: [],
        endedAt: null,
        rejected: false,
        queueMs: null,
      };
      turns.push(times);
      const stateId = name(index);
      await nextWorker().serve({ ...turn, parentId, stateId }, times);
      // After a rejection the conversation continues from its previous state.
      if (!times.rejected) parentId = stateId;
      if (think === null) return;
      await clock.wait(think);
    }
  };
  for (
    const conversation of conversations(options.load, { seed: options.seed, until: window.to })
  ) {
    clock.at(
      conversation.start,
      () => void runConversation(conversation).catch((e) => failures.push(e)),
    );
  }
  const snapshots: CounterSnapshot[] = [];
  for (const time of [window.from, window.to]) {
    clock.at(time, () => snapshots.push(takeSnapshot(workers)));
  }
  await clock.run();
  if (failures.length > 0) throw failures[0];
  const unfinished = turns.filter(({ endedAt }) => endedAt === null).length;
  if (unfinished > 0) throw new Error(`${unfinished} turns did not finish`);
  const figures = { ...computeFigures(turns, window), ...workerFigures(snapshots, window) };
  return { turns, figures };
}

export function windowOf({ warmup, seconds }: { warmup: number; seconds: number }): Window {
  return { from: 1000 * warmup, to: 1000 * (warmup + seconds) };
}

/** Counters so far: busy time of each worker, and totals. */
interface CounterSnapshot {
  busy: number[];
  total: {
    steps: number;
    read: number;
    sampled: number;
    warm: number;
    loads: number;
    saves: number;
  };
}

function takeSnapshot(workers: readonly SimulatedWorker[]): CounterSnapshot {
  const total = { steps: 0, read: 0, sampled: 0, warm: 0, loads: 0, saves: 0 };
  for (const { stats: numbers, loads, saves } of workers) {
    total.steps += numbers.steps;
    total.read += numbers.prefillTokens;
    total.sampled += numbers.sampledTokens;
    total.warm += numbers.warmSlotHits;
    total.loads += loads;
    total.saves += saves;
  }
  return { busy: workers.map(({ engine }) => engine.busy), total };
}

function workerFigures(
  [before, after]: readonly CounterSnapshot[],
  { from, to }: Window,
): WorkerFigures {
  const utilisations = after.busy.map((busy, i) => (busy - before.busy[i]) / (to - from));
  const increase = (name: keyof CounterSnapshot["total"]) => after.total[name] - before.total[name];
  const rate = (name: keyof CounterSnapshot["total"]) => increase(name) / (to - from) * 1000;
  return {
    utilisation: {
      mean: utilisations.reduce((sum, value) => sum + value, 0) / utilisations.length,
      max: Math.max(...utilisations),
    },
    batch: increase("steps") === 0 ? 0 : increase("sampled") / increase("steps"),
    steps_per_second: rate("steps"),
    read_per_second: rate("read"),
    states: {
      warm_per_second: rate("warm"),
      loads_per_second: rate("loads"),
      saves_per_second: rate("saves"),
    },
  };
}

/** Many workers, a balancer without sticky sessions before them, and clients. */

import { DEFAULT_ENGINE_SIZES } from "../src/server/open_engine.ts";
import { VirtualClock } from "./clock.ts";
import { Cores } from "./cores.ts";
import { type Conversation, conversations, type Load } from "./load.ts";
import { type Figures, computeFigures, type TurnTimes, type Window } from "./turn_times.ts";
import { SimulatedWorker, type WorkerOptions } from "./worker.ts";

/** How the balancer chooses: in turn, or who has the fewest turns. */
export const BALANCERS = ["round-robin", "least"] as const;

export interface FleetOptions {
  workers: number;
  balancer: (typeof BALANCERS)[number];
  worker: Omit<WorkerOptions, "maxStepTokens">;
  /** Cores that all workers share; Infinity: each has its own device. */
  cores: number;
  load: Load;
  seed: number;
  /** Seconds before what is measured, and of that. */
  warmup: number;
  seconds: number;
}

/** What workers did within the window. */
export interface WorkerFigures {
  /** Part of the time in which engines computed, in the mean and of the busiest one. */
  utilisation: { mean: number; max: number };
  /** Tokens written in a step, in the mean. */
  batch: number;
  steps_per_second: number;
  /** Tokens of prompts. */
  read_per_second: number;
  /** States: in their slot still, read from the store (others were in memory), and stored. */
  states: { warm_per_second: number; loads_per_second: number; saves_per_second: number };
}

export interface Simulated {
  turns: TurnTimes[];
  figures: Figures & WorkerFigures;
}

/** Runs one fleet. Whatever the window's end finds under way is carried to its end. */
export async function simulate(options: FleetOptions): Promise<Simulated> {
  const window = windowOf(options);
  const clock = new VirtualClock();
  const cores = new Cores(clock, options.cores);
  const all = { ...options.worker, maxStepTokens: DEFAULT_ENGINE_SIZES.maxStepTokens };
  const workers = Array.from(
    { length: options.workers },
    () => new SimulatedWorker(clock, cores, all),
  );
  const turns: TurnTimes[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const choose = () =>
    options.balancer === "round-robin"
      ? workers[next++ % workers.length]
      : workers.reduce((best, worker) => worker.activeTurns < best.activeTurns ? worker : best);

  const converse = async (conversation: Conversation) => {
    const name = (turn: number) => `${conversation.number}/${turn}`;
    let parent = conversation.hasState ? name(-1) : null;
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
      const child = name(index);
      await choose().serve({ ...turn, parentId: parent, stateId: child }, times);
      // Who is refused asks for something else later.
      if (!times.rejected) parent = child;
      if (think === null) return;
      await clock.wait(think);
    }
  };
  for (
    const conversation of conversations(options.load, { seed: options.seed, until: window.to })
  ) {
    clock.at(conversation.start, () => void converse(conversation).catch((e) => failures.push(e)));
  }
  const marks: Mark[] = [];
  for (const time of [window.from, window.to]) clock.at(time, () => marks.push(mark(workers)));
  await clock.run();
  if (failures.length > 0) throw failures[0];
  const lost = turns.filter(({ endedAt: ended }) => ended === null).length;
  if (lost > 0) throw new Error(`${lost} turns never came to an end`);
  const figures = { ...computeFigures(turns, window), ...workerFigures(marks, window) };
  return { turns, figures };
}

export function windowOf({ warmup, seconds }: { warmup: number; seconds: number }): Window {
  return { from: 1000 * warmup, to: 1000 * (warmup + seconds) };
}

/** Counts so far: of each worker, and in all. */
interface Mark {
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

function mark(workers: readonly SimulatedWorker[]): Mark {
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

function workerFigures([before, after]: readonly Mark[], { from, to }: Window): WorkerFigures {
  const parts = after.busy.map((busy, i) => (busy - before.busy[i]) / (to - from));
  const of = (name: keyof Mark["total"]) => after.total[name] - before.total[name];
  const rate = (name: keyof Mark["total"]) => of(name) / (to - from) * 1000;
  return {
    utilisation: {
      mean: parts.reduce((sum, part) => sum + part, 0) / parts.length,
      max: Math.max(...parts),
    },
    batch: of("steps") === 0 ? 0 : of("sampled") / of("steps"),
    steps_per_second: rate("steps"),
    read_per_second: rate("read"),
    states: {
      warm_per_second: rate("warm"),
      loads_per_second: rate("loads"),
      saves_per_second: rate("saves"),
    },
  };
}

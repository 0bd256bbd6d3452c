/** The processors of simulated engines: a device for each, or a few cores shared by several. */

import type { VirtualClock } from "./clock.ts";

interface Job {
  /** The value of `#workPerEngine` at which this job is done. */
  end: number;
  done: () => void;
}

/**
 * Busy engines share the cores evenly, and each uses at most one. One core is the full speed of a
 * single engine.
 */
export class Cores {
  readonly #clock: VirtualClock;
  readonly #cores: number;
  readonly #jobs = new Set<Job>();
  /** Milliseconds of work that each busy engine has received since the start, at time `#since`. */
  #workPerEngine = 0;
  #since = 0;
  /** Number of the current schedule; callbacks of earlier schedules are ignored. */
  #schedules = 0;

  /** @param cores Number of cores; Infinity gives each engine its own device. */
  constructor(clock: VirtualClock, cores = Infinity) {
    this.#clock = clock;
    this.#cores = cores;
  }

  /** Calls `done` when an engine has finished work that takes `ms` milliseconds at full speed. */
  run(ms: number, done: () => void): void {
    if (this.#cores === Infinity) return this.#clock.at(this.#clock.now + ms, done);
    this.#advance();
    this.#jobs.add({ end: this.#workPerEngine + ms, done });
    this.#scheduleNext();
  }

  get #speed(): number {
    return Math.min(1, this.#cores / this.#jobs.size);
  }

  #advance(): void {
    const { now } = this.#clock;
    if (this.#jobs.size > 0) this.#workPerEngine += (now - this.#since) * this.#speed;
    this.#since = now;
  }

  #scheduleNext(): void {
    const schedule = ++this.#schedules;
    let next: Job | undefined;
    for (const job of this.#jobs) if (!next || job.end < next.end) next = job;
    if (!next) return;
    const first = next;
    this.#clock.at(this.#since + (first.end - this.#workPerEngine) / this.#speed, () => {
      if (schedule !== this.#schedules) return;
      this.#advance();
      this.#jobs.delete(first);
      this.#scheduleNext();
      first.done();
    });
  }
}

/** What engines compute on: each on a device of its own, or several on the same few cores. */

import type { VirtualClock } from "./clock.ts";

interface Job {
  /** The work that each engine at work will have been given when this is done. */
  end: number;
  done: () => void;
}

/**
 * Engines at work share so many cores evenly, and none gets more than one. A core is as much as an
 * engine has that works alone.
 */
export class Cores {
  readonly #clock: VirtualClock;
  readonly #cores: number;
  readonly #jobs = new Set<Job>();
  /** Milliseconds of work that each engine at work was given since the beginning, as of `#since`. */
  #given = 0;
  #since = 0;
  /** How often the next end was planned: earlier plans are void. */
  #plans = 0;

  /** @param cores Infinity: each engine has its own device. */
  constructor(clock: VirtualClock, cores = Infinity) {
    this.#clock = clock;
    this.#cores = cores;
  }

  /** Calls `done` when an engine has done what takes it `ms` milliseconds alone. */
  run(ms: number, done: () => void): void {
    if (this.#cores === Infinity) return this.#clock.at(this.#clock.now + ms, done);
    this.#advance();
    this.#jobs.add({ end: this.#given + ms, done });
    this.#plan();
  }

  get #speed(): number {
    return Math.min(1, this.#cores / this.#jobs.size);
  }

  #advance(): void {
    const { now } = this.#clock;
    if (this.#jobs.size > 0) this.#given += (now - this.#since) * this.#speed;
    this.#since = now;
  }

  #plan(): void {
    const plan = ++this.#plans;
    let next: Job | undefined;
    for (const job of this.#jobs) if (!next || job.end < next.end) next = job;
    if (!next) return;
    const first = next;
    this.#clock.at(this.#since + (first.end - this.#given) / this.#speed, () => {
      if (plan !== this.#plans) return;
      this.#advance();
      this.#jobs.delete(first);
      this.#plan();
      first.done();
    });
  }
}

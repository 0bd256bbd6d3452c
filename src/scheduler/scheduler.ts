/**
 * Runs turns on an engine: takes them from a bounded queue into free slots, shares each step among
 * them, and hands tokens up. One loop, which sleeps when there is nothing to do.
 *
 * The engine samples, so that steps can be called for before the tokens of those before have come
 * back: there is always one call under way while another one's results are read.
 */

import { InferenceError } from "../core/errors.ts";
import {
  type Generated,
  type GenerateRun,
  type SamplingEngine,
  stateLength,
} from "../engine/engine.ts";
import { ActiveTurn, numericFault } from "./active_turn.ts";
import { planStep } from "./planner.ts";
import type { FinishedTurn, Generation, TurnRunner, TurnWork } from "./scheduler_types.ts";
import { WindowLength } from "./window_length.ts";

export interface SchedulerOptions {
  /** Turns that wait for a slot at most. */
  maxQueue?: number;
}

/** Calls that are under way at once. */
const AHEAD = 2;

/** A call of the engine that has not come back. */
interface Flight {
  turns: ActiveTurn[];
  steps: number;
  /** Whether prompts are read in it. */
  reads: boolean;
  started: number;
  results: Promise<Generated[]>;
}

export class Scheduler implements TurnRunner {
  readonly #engine: SamplingEngine;
  readonly #maxQueue: number;
  readonly #waiting: ActiveTurn[] = [];
  readonly #running = new Set<ActiveTurn>();
  readonly #freeSlots: number[];
  readonly #finishing = new Set<Promise<void>>();
  readonly #window: WindowLength;
  /** When a call came back last. */
  #landed = 0;
  #looping: Promise<void> | null = null;
  #closed = false;

  constructor(engine: SamplingEngine, { maxQueue = 64 }: SchedulerOptions = {}) {
    this.#engine = engine;
    this.#maxQueue = maxQueue;
    this.#freeSlots = Array.from({ length: engine.info.slots }, (_, slot) => slot);
    this.#window = new WindowLength(engine.maxSteps);
  }

  submit(work: TurnWork): Generation {
    if (this.#closed) {
      throw new InferenceError("shutting_down", "This worker is shutting down; try another one");
    }
    if (this.#waiting.length >= this.#maxQueue) {
      throw new InferenceError(
        "overloaded",
        `${this.#waiting.length} turns are waiting already, which is all that may; try again later`,
      );
    }
    const turn = new ActiveTurn(work);
    this.#waiting.push(turn);
    this.#looping ??= this.#loop();
    return turn.generation;
  }

  /** Takes no more turns, and resolves when those under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#looping;
    await Promise.all(this.#finishing);
  }

  async #loop(): Promise<void> {
    const flights: Flight[] = [];
    while (this.#waiting.length + this.#running.size + flights.length > 0) {
      this.#admit();
      this.#finishEnded();
      while (flights.length < AHEAD) {
        const flight = this.#launch();
        if (flight === null) break;
        flights.push(flight);
      }
      const first = flights.shift();
      if (first) await this.#land(first);
    }
    // Here and not in a `finally`: a turn submitted meanwhile would find a loop that has ended.
    this.#looping = null;
  }

  #admit(): void {
    for (const turn of this.#waiting.filter(({ cancelled }) => cancelled)) {
      this.#waiting.splice(this.#waiting.indexOf(turn), 1);
      const { state } = turn.work;
      turn.finish(
        "cancelled",
        state ?? new Float32Array(stateLength(this.#engine.info.dimensions)),
      );
    }
    while (this.#freeSlots.length > 0 && this.#waiting.length > 0) {
      const turn = this.#waiting.shift()!;
      turn.slot = this.#freeSlots.pop()!;
      this.#running.add(turn);
      const { slot, sampling, work } = turn;
      // Not waited for: the engine does things in order.
      Promise.all([
        this.#engine.writeState(slot, work.state),
        sampling && this.#engine.startSampling(slot, sampling),
      ]).catch((error) => this.#fail(turn, error));
    }
  }

  /** Calls for the next steps, if any turn can take part in one. */
  #launch(): Flight | null {
    const turns = [...this.#running];
    const plan = planStep(
      turns.map(({ feedable }) => feedable),
      this.#engine.info.maxStepTokens,
    ).map(({ turn, count }) => ({ turn: turns[turn], count }));
    if (plan.length === 0) return null;
    const reads = plan.some(({ turn }) => !turn.writing);
    if (reads) this.#window.restart();
    const room = Math.max(...plan.map(({ turn }) => turn.room));
    const steps = reads ? 1 : Math.min(this.#window.steps, room);
    const runs = plan.map(({ turn, count }): GenerateRun => {
      const tokens = turn.writing ? [] : turn.left.splice(0, count);
      turn.stepsAhead += steps;
      return { slot: turn.slot, tokens, sample: turn.writing };
    });
    const started = performance.now();
    const results = this.#engine.generate(runs, steps);
    results.catch(() => {}); // told when the call lands
    return { turns: plan.map(({ turn }) => turn), steps, reads, started, results };
  }

  async #land({ turns, steps, reads, started, results }: Flight): Promise<void> {
    try {
      const generated = await results;
      const now = performance.now();
      if (!reads) this.#window.measured(steps, now - Math.max(started, this.#landed));
      this.#landed = now;
      for (const [i, turn] of turns.entries()) {
        if (!this.#running.has(turn)) continue;
        turn.take(generated[i], steps);
        const { fault } = generated[i];
        if (fault !== null) this.#fail(turn, numericFault(fault));
      }
    } catch (error) {
      // A failed step says nothing of the states it ran on: every turn in a slot ends with it.
      for (const turn of [...this.#running]) this.#fail(turn, error);
    }
  }

  /** Ends the turns that are complete, and cancelled ones of which nothing is under way. */
  #finishEnded(): void {
    for (const turn of [...this.#running]) {
      if (turn.end) this.#finish(turn, turn.end);
      else if (turn.stepsAhead > 0) continue;
      else if (turn.cancelled) this.#finish(turn, "cancelled");
      else if (turn.work.maxTokens === 0 && turn.left.length === 1) this.#finish(turn, "length");
    }
  }

  #finish(turn: ActiveTurn, reason: FinishedTurn["reason"]): void {
    // The slot can be given away at once: the engine reads it before it does anything else.
    const finishing = this.#engine.readState(turn.slot).then(
      (state) => turn.finish(reason, state),
      (error) => turn.fail(error),
    ).finally(() => this.#finishing.delete(finishing));
    this.#finishing.add(finishing);
    this.#release(turn);
  }

  #fail(turn: ActiveTurn, error: unknown): void {
    if (this.#running.has(turn)) this.#release(turn);
    turn.fail(error);
  }

  #release(turn: ActiveTurn): void {
    this.#running.delete(turn);
    this.#freeSlots.push(turn.slot);
  }
}

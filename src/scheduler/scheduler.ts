/**
 * Runs turns on an engine: takes them from a bounded queue into free slots, shares each step among
 * them, samples, and hands tokens up. One loop, which sleeps when there is nothing to do.
 */

import { InferenceError } from "../core/errors.ts";
import { type Engine, type Run, stateLength } from "../engine/engine.ts";
import { randomAt } from "../sampler/random.ts";
import { recordToken } from "../sampler/penalties.ts";
import { sample } from "../sampler/sampler.ts";
import { planStep } from "./planner.ts";
import type { FinishedTurn, Generation, TurnRunner, TurnWork } from "./scheduler_types.ts";
import { TokenQueue } from "./token_queue.ts";

export interface SchedulerOptions {
  /** Turns that wait for a slot at most. */
  maxQueue?: number;
}

/** A turn in a slot, or waiting for one. */
interface ActiveTurn {
  work: TurnWork;
  slot: number;
  /** Tokens not yet fed. */
  left: number[];
  sampled: number;
  tokens: TokenQueue;
  finish: (turn: FinishedTurn) => void;
  fail: (error: unknown) => void;
}

export class Scheduler implements TurnRunner {
  readonly #engine: Engine;
  readonly #maxQueue: number;
  readonly #waiting: ActiveTurn[] = [];
  readonly #running: ActiveTurn[] = [];
  readonly #freeSlots: number[];
  #looping: Promise<void> | null = null;
  #closed = false;

  constructor(engine: Engine, { maxQueue = 64 }: SchedulerOptions = {}) {
    this.#engine = engine;
    this.#maxQueue = maxQueue;
    this.#freeSlots = Array.from({ length: engine.info.slots }, (_, slot) => slot);
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
    if (work.tokens.length === 0) throw new Error("a turn needs at least one token to feed");
    const tokens = new TokenQueue();
    const { promise, resolve, reject } = Promise.withResolvers<FinishedTurn>();
    // Whoever iterates sees the error as well; a caller may do only one of the two.
    promise.catch(() => {});
    this.#waiting.push({
      work,
      slot: -1,
      left: [...work.tokens],
      sampled: 0,
      tokens,
      finish: (turn) => {
        tokens.end();
        resolve(turn);
      },
      fail: (error) => {
        tokens.end(error);
        reject(error);
      },
    });
    this.#looping ??= this.#loop();
    return { finished: promise, [Symbol.asyncIterator]: () => tokens[Symbol.asyncIterator]() };
  }

  /** Takes no more turns, and resolves when those under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#looping;
  }

  async #loop(): Promise<void> {
    while (this.#waiting.length + this.#running.length > 0) {
      try {
        await this.#admit();
        await this.#dropCancelled();
        await this.#step();
      } catch (error) {
        // A failed step says nothing of the states it ran on: every turn in a slot ends with it.
        for (const turn of [...this.#running]) this.#release(turn).fail(error);
      }
    }
    // Here and not in a `finally`: a turn submitted meanwhile would find a loop that has ended.
    this.#looping = null;
  }

  async #admit(): Promise<void> {
    for (const turn of this.#waiting.filter(({ work }) => work.signal?.aborted)) {
      this.#waiting.splice(this.#waiting.indexOf(turn), 1);
      const { state } = turn.work;
      turn.finish({
        reason: "cancelled",
        state: state ?? new Float32Array(stateLength(this.#engine.info.dimensions)),
        pending: turn.left,
        sampled: 0,
      });
    }
    while (this.#freeSlots.length > 0 && this.#waiting.length > 0) {
      const turn = this.#waiting.shift()!;
      turn.slot = this.#freeSlots.pop()!;
      this.#running.push(turn);
      try {
        await this.#engine.writeState(turn.slot, turn.work.state);
      } catch (error) {
        this.#release(turn).fail(error);
      }
    }
  }

  async #dropCancelled(): Promise<void> {
    for (const turn of [...this.#running]) {
      if (turn.work.signal?.aborted) await this.#finish(turn, "cancelled");
      else if (turn.work.maxTokens === 0 && turn.left.length === 1) {
        await this.#finish(turn, "length");
      }
    }
  }

  async #step(): Promise<void> {
    const turns = [...this.#running];
    // A turn that must not sample keeps its last token, whose logits nobody wants.
    const left = turns.map(({ left, work }) => left.length - (work.maxTokens === 0 ? 1 : 0));
    const plan = planStep(left, this.#engine.info.maxStepTokens);
    if (plan.length === 0) return;
    const runs = plan.map(({ turn, count }): Run => ({
      slot: turns[turn].slot,
      tokens: turns[turn].left.slice(0, count),
      logits: count === turns[turn].left.length ? "last" : "none",
    }));
    const logits = await this.#engine.step(runs);
    for (const [i, { turn: index, count }] of plan.entries()) {
      const turn = turns[index];
      turn.left.splice(0, count);
      if (turn.left.length > 0) continue;
      try {
        const reason = this.#sample(turn, logits[i]);
        if (reason) await this.#finish(turn, reason);
      } catch (error) {
        this.#release(turn).fail(error);
      }
    }
  }

  /** Samples a turn's next token; returns why the turn ends with it, if it does. */
  #sample(turn: ActiveTurn, logits: Float32Array): FinishedTurn["reason"] | null {
    const { work } = turn;
    const random = randomAt(work.sampling.seed, work.position + turn.sampled);
    const token = sample(logits, work.sampling, work.counts, random, work.banned);
    recordToken(work.counts, token, work.sampling.penaltyDecay);
    turn.left.push(token);
    turn.sampled++;
    turn.tokens.push(token);
    if (work.ends(token)) return "stop";
    return turn.sampled >= work.maxTokens ? "length" : null;
  }

  async #finish(turn: ActiveTurn, reason: FinishedTurn["reason"]): Promise<void> {
    const state = await this.#engine.readState(turn.slot);
    this.#release(turn).finish({ reason, state, pending: turn.left, sampled: turn.sampled });
  }

  #release(turn: ActiveTurn): ActiveTurn {
    const at = this.#running.indexOf(turn);
    if (at >= 0) {
      this.#running.splice(at, 1);
      this.#freeSlots.push(turn.slot);
    }
    return turn;
  }
}

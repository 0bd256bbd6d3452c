/**
 * Runs turns on an engine: takes them from a bounded queue into free slots, shares each step among
 * them, and hands tokens up. One loop, which sleeps when there is nothing to do.
 *
 * The engine samples, so that steps can be called for before the tokens of those before have come
 * back: there is always one call under way while another one's results are read.
 */

import { InferenceError } from "../core/errors.ts";
import type { Constraint } from "../core/sampling.ts";
import type { GenerateResult, GenerateRun, SamplingEngine } from "../engine/engine.ts";
import type { EngineRecovery } from "../engine/supervisor/engine_recovery.ts";
import { Admission } from "./admission.ts";
import { ScheduledTurn } from "./scheduled_turn.ts";
import { FairShare } from "./fair_share.ts";
import { type SchedulerSnapshot, SchedulerStats } from "./scheduler_stats.ts";
import { Outage } from "./outage.ts";
import { StepController, StepCosts } from "./step_controller.ts";
import { planStep } from "./planner.ts";
import { RunningTurns } from "./running_turns.ts";
import type { Generation, GenerationRequest, GenerationRunner } from "./scheduler_types.ts";

/** Bounds of a scheduler. */
export interface SchedulerOptions {
  /** Requests that wait for a slot at most; a key that has fewer than its share may add to them. */
  maxQueue?: number | undefined;
  /** Turns of one key that run or wait at most. */
  maxPerFairnessKey?: number | undefined;
  /** The time in milliseconds. */
  clock?: (() => number) | undefined;
  /** Of an engine that is replaced when it fails: turns that wait go on waiting then. */
  recovery?: EngineRecovery | undefined;
}

/** A call of the engine that has not come back. */
interface InFlightStep {
  turns: ScheduledTurn[];
  steps: number;
  /** Tokens of prompts that are read in it, and turns that write. */
  read: number;
  writing: number;
  started: number;
  results: Promise<GenerateResult[]>;
}

/**
 * Shares the steps of an engine among turns: each writes, prompts are read in pieces between, and
 * others wait in a bounded queue.
 */
export class Scheduler implements GenerationRunner {
  readonly #engine: SamplingEngine;
  readonly #clock: () => number;
  readonly #admission: Admission;
  readonly #running: RunningTurns;
  readonly #pace: StepController;
  readonly #share: FairShare;
  readonly #counts = new SchedulerStats();
  readonly #outage = new Outage();
  /** When a call came back last. */
  #landed = 0;
  #looping: Promise<void> | null = null;
  #wake: () => void = () => {};
  #closed = false;

  /** A scheduler of an engine, whose only user it must be. */
  constructor(
    engine: SamplingEngine,
    {
      maxQueue = 64,
      maxPerFairnessKey: maxPerKey = Infinity,
      clock = () => performance.now(),
      recovery: renewal,
    }: SchedulerOptions = {},
  ) {
    this.#engine = engine;
    this.#clock = clock;
    this.#running = new RunningTurns({ engine, stats: this.#counts, clock });
    this.#admission = new Admission({
      running: this.#running,
      stats: this.#counts,
      slots: engine.info.slots,
      maxQueue,
      maxPerFairnessKey: maxPerKey,
    });
    const costs = new StepCosts();
    this.#pace = new StepController(engine, costs);
    this.#share = new FairShare(costs);
    renewal?.onFault((error) => {
      this.#running.failAll(error);
      this.#outage.begin(renewal.recover());
      this.#wake();
    });
  }

  /** What it does and has done, for metrics. */
  get snapshot(): SchedulerSnapshot {
    return {
      slots: this.#engine.info.slots,
      running: this.#running.size,
      waiting: this.#admission.waitingTurns,
      ...this.#counts.total,
    };
  }

  /**
   * Makes ready what turns with this constraint need.
   *
   * @throws InferenceError `invalid_value` for one that can't be held
   */
  prepareConstraint(constraint: Constraint): Promise<void> {
    return this.#engine.prepareConstraint(constraint);
  }

  /**
   * Queues one turn.
   *
   * @throws InferenceError `overloaded`, `too_many_turns`, `shutting_down`, `device_lost` where there
   * is no engine any more, or `invalid_value` for too long stops.
   */
  submit(work: GenerationRequest): Generation {
    return this.submitAll([work])[0];
  }

  /**
   * Several turns that start from the same state with the same tokens, which are read once. Until
   * then the first one's end is that of all. Throws as `submit`.
   */
  submitAll(works: readonly GenerationRequest[]): Generation[] {
    if (this.#closed) {
      throw new InferenceError("shutting_down", "This worker is shutting down; try another one");
    }
    this.#outage.throwIfFatal();
    const now = this.#clock();
    const turns = works.map((work) => new ScheduledTurn(work, now, works));
    const [leader, ...followers] = turns;
    this.#dropWaiting();
    this.#admission.assertCanEnqueue(leader.fairnessKey, turns.length);
    leader.followers = followers;
    this.#admission.waiting.push(leader);
    this.#looping ??= this.#loop();
    this.#wake();
    return turns.map((turn): Generation => ({
      finished: turn.finished,
      get queuedMs() {
        return turn.queuedMs;
      },
      keepWarm: (key, state) => this.#running.keepWarm(turn, key, state),
      [Symbol.asyncIterator]: () => turn.tokens[Symbol.asyncIterator](),
    }));
  }

  /** Takes no more turns, and resolves when those under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#looping;
    await this.#running.drain();
  }

  async #loop(): Promise<void> {
    const flights: InFlightStep[] = [];
    while (this.#admission.waiting.length + this.#running.size + flights.length > 0) {
      this.#dropWaiting();
      if (this.#outage.isActive) {
        for (const flight of flights.splice(0)) await this.#land(flight);
        this.#dropHopeless();
        await Promise.race([this.#outage.waitForChange(), this.#submitted()]);
        continue;
      }
      this.#admission.admit();
      this.#finishEnded();
      this.#admission.suspendPreempted();
      this.#admission.preempt(this.#clock());
      this.#share.update(this.#admission.keys);
      while (this.#pace.canLaunch(flights) && !this.#admission.isSlotDue) {
        this.#admission.waiting.pushFront(this.#running.fork());
        const flight = this.#launch();
        if (flight === null) break;
        flights.push(flight);
      }
      const first = flights.shift();
      if (first) await this.#land(first);
      else await Promise.race([this.#running.waitForLoad(), this.#submitted()]);
    }
    // Here and not in a `finally`: a turn submitted meanwhile would find a loop that has ended.
    this.#looping = null;
  }

  /** Resolves when the next turns have been submitted. */
  #submitted(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Ends turns that will not be run. */
  #dropWaiting(): void {
    const now = this.#clock();
    for (
      const turn of this.#admission.waiting.remove((turn) => turn.cancelled || turn.timedOut(now))
    ) {
      const reason = turn.cancelled ? "cancelled" : "late";
      this.#counts.total.turnsEnded++;
      this.#running.settle(turn, reason, () => turn.state!.load());
    }
  }

  /** Ends the turns that wait for an engine that will not come. */
  #dropHopeless(): void {
    const { fatalError: end } = this.#outage;
    if (end === null) return;
    for (const turn of this.#admission.waiting.remove(() => true)) this.#running.fail(turn, end);
  }

  /** Calls for the next steps, if any turn can take part in one. */
  #launch(): InFlightStep | null {
    const started = this.#clock();
    const going = [...this.#running].filter((turn) => {
      return (turn.schedulableTokens > 0 || turn.stepsInFlight > 0) && !turn.timedOut(started);
    });
    const plan = planStep(
      this.#share.select(going),
      { maxTokens: this.#engine.info.maxStepTokens, maxPrefillTokens: this.#pace.prefillBudget },
    );
    if (plan.length === 0) return null;
    const reading = plan.filter(({ turn }) => !turn.decoding);
    const room = Math.max(...plan.map(({ turn }) => turn.samplingBudget));
    const single = reading.length > 0 || plan.some(({ turn }) => turn.cpuSampled);
    const steps = single ? 1 : Math.min(this.#pace.windowSteps(plan.length), room);
    const runs = plan.map(({ turn, count }): GenerateRun => {
      const tokens = turn.decoding ? [] : turn.takeRemaining(count);
      turn.stepsInFlight += steps;
      return { slot: turn.slot, tokens, sample: turn.decoding };
    });
    const results = this.#engine.generate(runs, steps);
    results.catch(() => {}); // told when the call lands
    return {
      turns: plan.map(({ turn }) => turn),
      steps,
      read: reading.reduce((sum, { count }) => sum + count, 0),
      writing: plan.length - reading.length,
      started,
      results,
    };
  }

  async #land({ turns, steps, read, writing, started, results }: InFlightStep): Promise<void> {
    try {
      const generated = await results;
      const now = this.#clock();
      const ms = now - Math.max(started, this.#landed);
      this.#landed = now;
      this.#share.charge(turns, ms);
      if (read === 0) this.#pace.decodeCompleted(steps, turns.length, ms);
      else this.#pace.prefillCompleted(read, ms, { writing });
      const sampled = generated.reduce((sum, { tokens }) => sum + tokens.length, 0);
      this.#counts.stepCompleted({ batch: turns.length, steps, read, sampled, ms });
      for (const [i, turn] of turns.entries()) {
        if (!this.#running.has(turn)) continue;
        turn.completeSteps(generated[i], steps);
        const { fault } = generated[i];
        if (fault === null) continue;
        this.#running.fail(turn, new InferenceError("numeric_fault", fault.message));
      }
    } catch (error) {
      // A failed step says nothing of the states it ran on: every turn in a slot ends with it.
      this.#running.failAll(error);
    }
  }

  /** Ends the turns that are complete, and those cut short of which nothing is under way. */
  #finishEnded(): void {
    const now = this.#clock();
    for (const turn of [...this.#running]) {
      if (turn.finishReason) this.#running.finish(turn, turn.finishReason);
      else if (turn.stepsInFlight > 0 || turn.loading) continue;
      else if (turn.cancelled) this.#running.finish(turn, "cancelled");
      else if (turn.timedOut(now)) this.#running.finish(turn, "late");
      else if (turn.generationRequest.maxTokens === 0 && turn.remainingTokens.length === 1) {
        this.#running.finish(turn, "length");
      }
    }
  }
}

/**
 * Runs turns on an engine. One loop moves turns from a bounded queue into free slots, shares each
 * step among them and returns their tokens. The loop sleeps when there is nothing to do.
 *
 * Because the engine samples, the loop can launch the next steps before the tokens of the current
 * ones have arrived: one call runs while the results of another are read.
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

/** Options of a scheduler. */
export interface SchedulerOptions {
  /** Maximum number of waiting requests. A key below its share of the queue may exceed it. */
  maxQueue?: number | undefined;
  /** Maximum number of running and waiting turns of one key. */
  maxPerFairnessKey?: number | undefined;
  /** Returns the time in milliseconds. */
  clock?: (() => number) | undefined;
  /** Recovery of a supervised engine. Waiting turns keep waiting while the engine restarts. */
  recovery?: EngineRecovery | undefined;
}

/** A call of the engine that has not completed. */
interface InFlightStep {
  turns: ScheduledTurn[];
  steps: number;
  /** Number of prompt tokens in it, and number of decoding turns. */
  prefillTokens: number;
  decoding: number;
  started: number;
  results: Promise<GenerateResult[]>;
}

/**
 * Shares the steps of an engine among turns. Decoding turns take part in every step, prompts are
 * processed in chunks, and further requests wait in a bounded queue.
 */
export class Scheduler implements GenerationRunner {
  readonly #engine: SamplingEngine;
  readonly #clock: () => number;
  readonly #admission: Admission;
  readonly #running: RunningTurns;
  readonly #stepController: StepController;
  readonly #fairShare: FairShare;
  readonly #stats = new SchedulerStats();
  readonly #outage = new Outage();
  /** When the last call completed. */
  #lastCompletedAt = 0;
  #loopPromise: Promise<void> | null = null;
  #wake: () => void = () => {};
  #closed = false;

  /** Creates a scheduler. It must be the only user of the engine. */
  constructor(
    engine: SamplingEngine,
    {
      maxQueue = 64,
      maxPerFairnessKey = Infinity,
      clock = () => performance.now(),
      recovery,
    }: SchedulerOptions = {},
  ) {
    this.#engine = engine;
    this.#clock = clock;
    this.#running = new RunningTurns({ engine, stats: this.#stats, clock });
    this.#admission = new Admission({
      running: this.#running,
      stats: this.#stats,
      slots: engine.info.slots,
      maxQueue,
      maxPerFairnessKey,
    });
    const costs = new StepCosts();
    this.#stepController = new StepController(engine, costs);
    this.#fairShare = new FairShare(costs);
    recovery?.onFault((error) => {
      this.#running.failAll(error);
      this.#outage.begin(recovery.recover());
      this.#wake();
    });
  }

  /** Current counters, for metrics. */
  get snapshot(): SchedulerSnapshot {
    return {
      slots: this.#engine.info.slots,
      running: this.#running.size,
      waiting: this.#admission.waitingTurns,
      ...this.#stats.total,
    };
  }

  /**
   * Prepares a constraint for the turns that use it.
   *
   * @throws InferenceError `invalid_value` for an unsupported constraint, `unsupported_value` if the
   * engine supports no constraints
   */
  prepareConstraint(constraint: Constraint): Promise<void> {
    return this.#engine.prepareConstraint(constraint);
  }

  /**
   * Queues one turn.
   *
   * @throws InferenceError `overloaded`, `too_many_turns`, `shutting_down`, `device_lost` if the
   * engine could not be restarted, or `invalid_value` for stop strings that are too long
   */
  submit(request: GenerationRequest): Generation {
    return this.submitAll([request])[0];
  }

  /**
   * Queues several turns with the same state and prompt. The prompt is processed once; if the first
   * turn ends before that, all of them end. Throws like `submit`.
   */
  submitAll(requests: readonly GenerationRequest[]): Generation[] {
    if (this.#closed) {
      throw new InferenceError(
        "shutting_down",
        "This worker is shutting down; retry on another worker",
      );
    }
    this.#outage.throwIfFatal();
    const now = this.#clock();
    const turns = requests.map((request) => new ScheduledTurn(request, now, requests));
    const [leader, ...followers] = turns;
    this.#dropWaiting();
    this.#admission.assertCanEnqueue(leader.fairnessKey, turns.length);
    leader.followers = followers;
    this.#admission.waiting.push(leader);
    this.#loopPromise ??= this.#loop();
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

  /** Rejects new turns and resolves when the running ones have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#loopPromise;
    await this.#running.drain();
  }

  async #loop(): Promise<void> {
    const inFlight: InFlightStep[] = [];
    while (this.#admission.waiting.length + this.#running.size + inFlight.length > 0) {
      this.#dropWaiting();
      if (this.#outage.isActive) {
        for (const step of inFlight.splice(0)) await this.#complete(step);
        this.#failWaiting();
        await Promise.race([this.#outage.waitForChange(), this.#submitted()]);
        continue;
      }
      this.#admission.admit();
      this.#finishEnded();
      this.#admission.suspendPreempted();
      this.#admission.preempt(this.#clock());
      this.#fairShare.update(this.#admission.keys);
      while (this.#stepController.canLaunch(inFlight) && !this.#admission.isSlotDue) {
        this.#admission.waiting.pushFront(this.#running.fork());
        const step = this.#launch();
        if (step === null) break;
        inFlight.push(step);
      }
      const first = inFlight.shift();
      if (first) await this.#complete(first);
      else await Promise.race([this.#running.waitForLoad(), this.#submitted()]);
    }
    // Not in `.finally()`, which runs later: a turn submitted in between would not start a new loop.
    this.#loopPromise = null;
  }

  /** Resolves when further turns are submitted. */
  #submitted(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Ends waiting turns that are cancelled or timed out. */
  #dropWaiting(): void {
    const now = this.#clock();
    for (
      const turn of this.#admission.waiting.remove((turn) => turn.cancelled || turn.timedOut(now))
    ) {
      const reason = turn.cancelled ? "cancelled" : "timeout";
      this.#stats.total.turnsEnded++;
      this.#running.endWith(turn, reason, () => turn.state!.load());
    }
  }

  /** Fails the waiting turns when the engine cannot be restarted. */
  #failWaiting(): void {
    const { fatalError } = this.#outage;
    if (fatalError === null) return;
    for (const turn of this.#admission.waiting.remove(() => true)) {
      this.#running.fail(turn, fatalError);
    }
  }

  /** Starts the next steps, or returns `null` if no turn can take part. */
  #launch(): InFlightStep | null {
    const started = this.#clock();
    const candidates = [...this.#running].filter((turn) => {
      return (turn.schedulableTokens > 0 || turn.stepsInFlight > 0) && !turn.timedOut(started);
    });
    const plan = planStep(
      this.#fairShare.select(candidates),
      {
        maxTokens: this.#engine.info.maxStepTokens,
        maxPrefillTokens: this.#stepController.prefillBudget,
      },
    );
    if (plan.length === 0) return null;
    const prefilling = plan.filter(({ turn }) => !turn.decoding);
    const maxSteps = Math.max(...plan.map(({ turn }) => turn.samplingBudget));
    const single = prefilling.length > 0 || plan.some(({ turn }) => turn.cpuSampled);
    const steps = single ? 1 : Math.min(this.#stepController.windowSteps(plan.length), maxSteps);
    const runs = plan.map(({ turn, count }): GenerateRun => {
      const tokens = turn.decoding ? [] : turn.takeRemaining(count);
      turn.stepsInFlight += steps;
      return { slot: turn.slot, tokens, sample: turn.decoding };
    });
    const results = this.#engine.generate(runs, steps);
    results.catch(() => {}); // `#complete` reports it
    return {
      turns: plan.map(({ turn }) => turn),
      steps,
      prefillTokens: prefilling.reduce((sum, { count }) => sum + count, 0),
      decoding: plan.length - prefilling.length,
      started,
      results,
    };
  }

  async #complete(
    { turns, steps, prefillTokens, decoding, started, results }: InFlightStep,
  ): Promise<void> {
    try {
      const generated = await results;
      const now = this.#clock();
      const ms = now - Math.max(started, this.#lastCompletedAt);
      this.#lastCompletedAt = now;
      this.#fairShare.charge(turns, ms);
      if (prefillTokens === 0) this.#stepController.decodeCompleted(steps, turns.length, ms);
      else this.#stepController.prefillCompleted(prefillTokens, ms, { decoding });
      const sampledTokens = generated.reduce((sum, { tokens }) => sum + tokens.length, 0);
      this.#stats.stepCompleted({
        batchSize: turns.length,
        steps,
        prefillTokens,
        sampledTokens,
        ms,
      });
      for (const [i, turn] of turns.entries()) {
        if (!this.#running.has(turn)) continue;
        turn.completeSteps(generated[i], steps);
        const { fault } = generated[i];
        if (fault === null) continue;
        this.#running.fail(turn, new InferenceError("numeric_fault", fault.message));
      }
    } catch (error) {
      // After a failed step the states of all slots are unknown, so every running turn fails.
      this.#running.failAll(error);
    }
  }

  /** Ends turns that are complete, and cancelled or timed-out turns without steps in flight. */
  #finishEnded(): void {
    const now = this.#clock();
    for (const turn of [...this.#running]) {
      if (turn.finishReason) this.#running.finish(turn, turn.finishReason);
      else if (turn.stepsInFlight > 0 || turn.loading) continue;
      else if (turn.cancelled) this.#running.finish(turn, "cancelled");
      else if (turn.timedOut(now)) this.#running.finish(turn, "timeout");
      else if (turn.generationRequest.maxTokens === 0 && turn.remainingTokens.length === 1) {
        this.#running.finish(turn, "length");
      }
    }
  }
}

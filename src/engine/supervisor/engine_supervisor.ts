/**
 * An engine that outlives its devices: when one fails, all that was under way on it ends, and another
 * engine like it is opened in its place. What slots held is lost with the device, so nothing is
 * carried out until the caller has been told and says that it knows.
 */

import { type FaultKind, InferenceError } from "../../core/errors.ts";
import type { Constraint } from "../../core/sampling.ts";
import { CallWatchdog, REAL_TIMERS, type Timers } from "./call_watchdog.ts";
import type {
  EngineInfo,
  GenerateResult,
  GenerateRun,
  Run,
  SamplingEngine,
  SlotSampling,
} from "../engine.ts";
import {
  type EngineEvents,
  type EngineRecovery,
  type EngineStatus,
  SUPERVISOR_LIMITS,
  type SupervisorLimits,
} from "./engine_recovery.ts";
import { type EngineOpener, restartEngine } from "./restart_engine.ts";
import { assertDeviceHealthy } from "./device_health.ts";

export interface EngineSupervisorOptions extends EngineOpener {
  events?: Partial<EngineEvents> | undefined;
  limits?: Partial<SupervisorLimits> | undefined;
  timers?: Timers | undefined;
}

/** An engine, as long as it works. */
interface ActiveEngine {
  engine: SamplingEngine;
  calls: CallWatchdog;
}

/** Seconds after which clients are asked to try again at most, however long a rebuild takes. */
const LONGEST_RETRY = 60;

export class EngineSupervisor implements SamplingEngine, EngineRecovery {
  readonly maxSteps: number;
  readonly #options: EngineSupervisorOptions;
  readonly #limits: SupervisorLimits;
  readonly #timers: Timers;
  /** The engine that works, or the last one that did. */
  #life: ActiveEngine;
  /** What calls reject with. */
  #fault: InferenceError | null = null;
  #status: EngineStatus = { state: "running", fault: null };
  /** Resolves when there is an engine again. */
  #renewing: Promise<void> = Promise.resolve();
  /** Failures since a turn has ended well. */
  #faults = 0;
  #listener: (error: InferenceError) => void = () => {};
  /** Aborted when it is closed. */
  readonly #closing = new AbortController();
  readonly #retryAfter: number;

  private constructor(engine: SamplingEngine, seconds: number, options: EngineSupervisorOptions) {
    this.#options = options;
    this.#limits = { ...SUPERVISOR_LIMITS, ...options.limits };
    this.#timers = options.timers ?? REAL_TIMERS;
    this.#retryAfter = Math.min(LONGEST_RETRY, 1 + Math.ceil(seconds));
    this.maxSteps = engine.maxSteps;
    this.#life = this.#begin(engine);
  }

  /** Opens the first engine. Throws as `open` does. */
  static async open(options: EngineSupervisorOptions): Promise<EngineSupervisor> {
    const { now } = options.timers ?? REAL_TIMERS;
    const started = now();
    const { onProgress = () => {} } = options;
    const { signal } = new AbortController();
    const engine = await options.open(null, { onProgress, signal });
    return new EngineSupervisor(engine, (now() - started) / 1000, options);
  }

  /** What the engine is, or was. Another one in its place is like it. */
  get info(): EngineInfo {
    return this.#life.engine.info;
  }

  get status(): EngineStatus {
    return this.#status;
  }

  onFault(listener: (error: InferenceError) => void): void {
    this.#listener = listener;
  }

  async recover(): Promise<void> {
    while (this.#fault !== null) {
      const renewing = this.#renewing;
      await renewing;
      // Another one may have failed meanwhile.
      if (renewing === this.#renewing) this.#fault = null;
    }
  }

  /** Touches no slot, so it waits for an engine. */
  async prepareConstraint(constraint: Constraint): Promise<void> {
    await this.#renewing;
    const { engine, calls } = this.#life;
    await calls.watch(0, engine.prepareConstraint(constraint));
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#call(workOf(runs), (engine) => engine.step(runs));
  }

  startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    return this.#call(0, (engine) => engine.startSampling(slot, sampling));
  }

  generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    return this.#call(steps * workOf(runs), async (engine) => {
      const results = await engine.generate(runs, steps);
      const at = results.findIndex(({ fault }) => fault?.kind === "not_finite");
      if (at >= 0 && engine.info.device === "webgpu") {
        // The turn has ended: its slot may be used before the caller gives it to another one.
        await assertDeviceHealthy(engine, runs[at], results[at]);
        this.#tell("numeric", new InferenceError("numeric_fault", results[at].fault!.message));
      }
      return results;
    });
  }

  async readState(slot: number): Promise<Float32Array> {
    const state = await this.#call(0, (engine) => engine.readState(slot));
    this.#faults = 0;
    return state;
  }

  writeState(slot: number, state: Float32Array | null): Promise<void> {
    return this.#call(0, (engine) => engine.writeState(slot, state));
  }

  copyState(from: number, to: number): Promise<void> {
    return this.#call(0, (engine) => engine.copyState(from, to));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#renewing.catch(() => {});
    await this.#life.engine.close();
  }

  #begin(engine: SamplingEngine): ActiveEngine {
    const { device, software } = engine.info;
    const { callTimeout: silence, softwareCallTimeout: softwareSilence } = this.#limits;
    const calls = new CallWatchdog({
      timers: this.#timers,
      limits: device === "cpu"
        ? null
        : { minMs: silence, unmeasuredMs: software ? softwareSilence : silence },
      onTimeout: (error) => this.#fail(life, error),
    });
    const life = { engine, calls };
    engine.failed?.then((error) => this.#fail(life, error));
    return life;
  }

  /** @param work Tokens that it computes. */
  #call<T>(work: number, call: (engine: SamplingEngine) => Promise<T>): Promise<T> {
    if (this.#fault) return Promise.reject(this.#fault);
    const life = this.#life;
    const result = call(life.engine).catch((error) => {
      if (!isFault(error)) throw error;
      this.#fail(life, error);
      throw this.#fault ?? error;
    });
    return life.calls.watch(work, result);
  }

  #fail(life: ActiveEngine, error: InferenceError): void {
    if (life !== this.#life || this.#status.state !== "running" || this.#closing.signal.aborted) {
      return;
    }
    const kind = kindOf(error);
    this.#faults++;
    this.#status = { state: "rebuilding", fault: kind };
    this.#fault = new InferenceError(
      "device_lost",
      `${error.message}; the turns that it was at have ended, and the engine is opened again`,
      { cause: error, fault: kind, retryAfter: this.#retryAfter },
    );
    this.#tell(kind, error, "engine");
    this.#renewing = this.#rebuild(life.engine);
    this.#renewing.catch(() => {}); // told to whoever renews
    life.calls.rejectAll(this.#fault);
    this.#listener(this.#fault);
  }

  async #rebuild(old: SamplingEngine): Promise<void> {
    const started = this.#timers.now();
    // Its memory is wanted for the next one.
    await Promise.race([old.close().catch(() => {}), this.#pause(this.#limits.closeTimeout)]);
    while (this.#faults < this.#limits.maxFaults) {
      if (this.#closing.signal.aborted) {
        throw new InferenceError("shutting_down", "This worker is shutting down; try another one");
      }
      try {
        this.#life = this.#begin(
          await restartEngine(this.#options, old.info, {
            timers: this.#timers,
            limit: this.#limits.openTimeout,
          }),
        );
        this.#status = { state: "running", fault: null };
        this.#options.events?.onRebuilt?.((this.#timers.now() - started) / 1000);
        return;
      } catch (error) {
        this.#faults++;
        const kind = isFault(error) ? kindOf(error) : "reload";
        this.#status = { state: "rebuilding", fault: kind };
        this.#tell(kind, error as Error, "engine");
        if (this.#faults < this.#limits.maxFaults) await this.#pause(this.#limits.retryDelay);
      }
    }
    this.#status = { ...this.#status, state: "failed" };
    this.#fault = new InferenceError(
      "device_lost",
      `The GPU has failed ${this.#faults} times without a turn that ended well between: this worker ` +
        "takes no more turns; try another one",
      { fault: this.#status.fault ?? undefined },
    );
    this.#options.events?.onFailed?.(this.#fault);
    throw this.#fault;
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => void this.#timers.after(milliseconds, resolve));
  }

  #tell(kind: FaultKind, error: Error, what: "engine" | "turn" = "turn"): void {
    this.#options.events?.onFault?.(kind, error, what);
  }
}

/** Whether nothing more is to be had of an engine that threw this. */
function isFault(error: unknown): error is InferenceError {
  if (!(error instanceof InferenceError)) return false;
  return error.fault !== undefined || error.code === "device_lost" ||
    error.code === "insufficient_memory";
}

function kindOf({ fault, code }: InferenceError): FaultKind {
  return fault ?? (code === "insufficient_memory" ? "out_of_memory" : "device_lost");
}

/** Tokens of a step. */
function workOf(runs: readonly { tokens: readonly number[] }[]): number {
  return runs.reduce((sum, { tokens }) => sum + Math.max(1, tokens.length), 0);
}

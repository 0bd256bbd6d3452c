/**
 * An engine that survives device failures. When a device fails, the supervisor rejects all pending
 * calls and opens a new engine like the failed one. The states in slots are lost with the device,
 * so all calls reject until the caller acknowledges the failure with `recover`.
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

/** A running engine and the watchdog of its calls. */
interface ActiveEngine {
  engine: SamplingEngine;
  calls: CallWatchdog;
}

/** Maximum `retry-after` in seconds, however long a restart takes. */
const MAX_RETRY_AFTER = 60;

export class EngineSupervisor implements SamplingEngine, EngineRecovery {
  readonly maxSteps: number;
  readonly #options: EngineSupervisorOptions;
  readonly #limits: SupervisorLimits;
  readonly #timers: Timers;
  /** The running engine, or the last one that ran. */
  #active: ActiveEngine;
  /** Error that calls reject with until the caller recovers. */
  #fault: InferenceError | null = null;
  #status: EngineStatus = { state: "running", fault: null };
  /** Resolves when an engine is running again. */
  #restarting: Promise<void> = Promise.resolve();
  /** Failures since the last turn that ended without one. */
  #faults = 0;
  #listener: (error: InferenceError) => void = () => {};
  /** Aborted by `close`. */
  readonly #closing = new AbortController();
  readonly #retryAfter: number;

  private constructor(engine: SamplingEngine, seconds: number, options: EngineSupervisorOptions) {
    this.#options = options;
    this.#limits = { ...SUPERVISOR_LIMITS, ...options.limits };
    this.#timers = options.timers ?? REAL_TIMERS;
    this.#retryAfter = Math.min(MAX_RETRY_AFTER, 1 + Math.ceil(seconds));
    this.maxSteps = engine.maxSteps;
    this.#active = this.#activate(engine);
  }

  /** Opens the first engine. Throws like `options.open`. */
  static async open(options: EngineSupervisorOptions): Promise<EngineSupervisor> {
    const { now } = options.timers ?? REAL_TIMERS;
    const started = now();
    const { onProgress = () => {} } = options;
    const { signal } = new AbortController();
    const engine = await options.open(null, { onProgress, signal });
    return new EngineSupervisor(engine, (now() - started) / 1000, options);
  }

  /** Properties of the current or last engine. A replacement has the same. */
  get info(): EngineInfo {
    return this.#active.engine.info;
  }

  get status(): EngineStatus {
    return this.#status;
  }

  onFault(listener: (error: InferenceError) => void): void {
    this.#listener = listener;
  }

  async recover(): Promise<void> {
    while (this.#fault !== null) {
      const restarting = this.#restarting;
      await restarting;
      // The replacement may have failed in the meantime.
      if (restarting === this.#restarting) this.#fault = null;
    }
  }

  /** Waits for a running engine instead of rejecting, because it does not use a slot. */
  async prepareConstraint(constraint: Constraint): Promise<void> {
    await this.#restarting;
    const { engine, calls } = this.#active;
    await calls.watch(0, engine.prepareConstraint(constraint));
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#call(countTokens(runs), (engine) => engine.step(runs));
  }

  startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    return this.#call(0, (engine) => engine.startSampling(slot, sampling));
  }

  generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    return this.#call(steps * countTokens(runs), async (engine) => {
      const results = await engine.generate(runs, steps);
      const at = results.findIndex(({ fault }) => fault?.kind === "not_finite");
      if (at >= 0 && engine.info.device === "webgpu") {
        // The turn has ended, so its slot is free for the check until the caller reuses it.
        await assertDeviceHealthy(engine, runs[at], results[at]);
        this.#reportFault(
          "numeric",
          new InferenceError("numeric_fault", results[at].fault!.message),
        );
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
    await this.#restarting.catch(() => {});
    await this.#active.engine.close();
  }

  #activate(engine: SamplingEngine): ActiveEngine {
    const { device, software } = engine.info;
    const { callTimeout, softwareCallTimeout } = this.#limits;
    const calls = new CallWatchdog({
      timers: this.#timers,
      limits: device === "cpu"
        ? null
        : { minMs: callTimeout, unmeasuredMs: software ? softwareCallTimeout : callTimeout },
      onTimeout: (error) => this.#fail(active, error),
    });
    const active = { engine, calls };
    engine.failed?.then((error) => this.#fail(active, error));
    return active;
  }

  /** @param tokenCount Number of tokens that the call computes. */
  #call<T>(tokenCount: number, call: (engine: SamplingEngine) => Promise<T>): Promise<T> {
    if (this.#fault) return Promise.reject(this.#fault);
    const active = this.#active;
    const result = call(active.engine).catch((error) => {
      if (!isFault(error)) throw error;
      this.#fail(active, error);
      throw this.#fault ?? error;
    });
    return active.calls.watch(tokenCount, result);
  }

  #fail(active: ActiveEngine, error: InferenceError): void {
    if (
      active !== this.#active || this.#status.state !== "running" || this.#closing.signal.aborted
    ) {
      return;
    }
    const kind = kindOf(error);
    this.#faults++;
    this.#status = { state: "rebuilding", fault: kind };
    this.#fault = new InferenceError(
      "device_lost",
      `${error.message}; all running turns have ended and the engine is restarting`,
      { cause: error, fault: kind, retryAfter: this.#retryAfter },
    );
    this.#reportFault(kind, error, "engine");
    this.#restarting = this.#restart(active.engine);
    this.#restarting.catch(() => {}); // reported by `recover`
    active.calls.rejectAll(this.#fault);
    this.#listener(this.#fault);
  }

  async #restart(old: SamplingEngine): Promise<void> {
    const started = this.#timers.now();
    // The replacement needs the memory of the old engine.
    await Promise.race([old.close().catch(() => {}), this.#delay(this.#limits.closeTimeout)]);
    while (this.#faults < this.#limits.maxFaults) {
      if (this.#closing.signal.aborted) {
        throw new InferenceError(
          "shutting_down",
          "Cannot restart the engine: this worker is shutting down; use another worker",
        );
      }
      try {
        this.#active = this.#activate(
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
        this.#reportFault(kind, error as Error, "engine");
        if (this.#faults < this.#limits.maxFaults) await this.#delay(this.#limits.retryDelay);
      }
    }
    this.#status = { ...this.#status, state: "failed" };
    this.#fault = new InferenceError(
      "device_lost",
      `Cannot restart the engine: the GPU failed ${this.#faults} times in a row without a completed ` +
        "turn; use another worker",
      { fault: this.#status.fault ?? undefined },
    );
    this.#options.events?.onFailed?.(this.#fault);
    throw this.#fault;
  }

  #delay(milliseconds: number): Promise<void> {
    return new Promise((resolve) => void this.#timers.after(milliseconds, resolve));
  }

  #reportFault(kind: FaultKind, error: Error, what: "engine" | "turn" = "turn"): void {
    this.#options.events?.onFault?.(kind, error, what);
  }
}

/** Returns whether an error means that the engine is unusable. */
function isFault(error: unknown): error is InferenceError {
  if (!(error instanceof InferenceError)) return false;
  return error.fault !== undefined || error.code === "device_lost" ||
    error.code === "insufficient_memory";
}

function kindOf({ fault, code }: InferenceError): FaultKind {
  return fault ?? (code === "insufficient_memory" ? "out_of_memory" : "device_lost");
}

/** Returns the number of tokens of a step. */
function countTokens(runs: readonly { tokens: readonly number[] }[]): number {
  return runs.reduce((sum, { tokens }) => sum + Math.max(1, tokens.length), 0);
}

/**
 * RPC to an engine in its own Worker, so that a long step never blocks HTTP. `WorkerEngine` is the
 * caller's side, `handleEngineCalls` the Worker's side. Arrays that the sender no longer needs are
 * transferred. The Worker supplies the function that opens the engine.
 */

import { deferred } from "../core/deferred.ts";
import { type ErrorCode, type FaultKind, InferenceError } from "../core/errors.ts";
import type { Constraint } from "../core/sampling.ts";
import type {
  EngineInfo,
  GenerateResult,
  GenerateRun,
  OnNotice,
  OnProgress,
  Run,
  SamplingEngine,
  SlotSampling,
} from "./engine.ts";

/** A call to the Worker. */
type Call =
  | { method: "open"; options: unknown }
  | { method: "step"; runs: readonly Run[] }
  | { method: "prepare"; constraint: Constraint }
  | { method: "startSampling"; slot: number; sampling: SlotSampling }
  | { method: "generate"; runs: readonly GenerateRun[]; steps: number }
  | { method: "readState"; slot: number }
  | { method: "writeState"; slot: number; state: Float32Array | null }
  | { method: "copyState"; from: number; to: number }
  | { method: "close" };

type Request = Call & { id: number };

/** A serialized error. */
interface SerializedError {
  code?: ErrorCode;
  message: string;
  param?: string | undefined;
  fault?: FaultKind | undefined;
}

type Reply =
  | { id: number; progress: [done: number, total: number] }
  | { id: number; value: unknown }
  | { id: number; error: SerializedError }
  | { notice: Parameters<OnNotice> }
  /** The engine has failed, whether or not a call was pending. */
  | { failed: SerializedError };

/** Milliseconds for a Worker to free its device before it is terminated. */
const CLOSE_MS = 5000;

export interface OpenWorkerOptions {
  onProgress?: OnProgress | undefined;
  /** Called while the engine is opened, and later. */
  onNotice?: OnNotice | undefined;
  /** Terminates the Worker while it opens its engine. */
  signal?: AbortSignal | undefined;
}

/** An engine in a Worker. */
export class WorkerEngine implements SamplingEngine {
  readonly info: EngineInfo;
  readonly maxSteps: number;
  readonly #worker: EngineCaller;

  private constructor(
    { info, maxSteps }: Pick<SamplingEngine, "info" | "maxSteps">,
    worker: EngineCaller,
  ) {
    this.info = info;
    this.maxSteps = maxSteps;
    this.#worker = worker;
  }

  /**
   * Opens an engine in a Worker that runs `handleEngineCalls`.
   *
   * @param options Passed to the Worker's `open`; must be structured-cloneable.
   */
  static async open(
    worker: Worker,
    options: unknown,
    { onProgress = () => {}, onNotice = () => {}, signal }: OpenWorkerOptions = {},
  ): Promise<WorkerEngine> {
    const caller = new EngineCaller(worker, { onProgress, onNotice });
    const end = () => caller.terminate();
    signal?.addEventListener("abort", end, { once: true });
    try {
      return new WorkerEngine(await caller.call({ method: "open", options }), caller);
    } catch (error) {
      end();
      throw error;
    } finally {
      signal?.removeEventListener("abort", end);
    }
  }

  /** Resolves when the engine or its Worker fails. */
  get failed(): Promise<InferenceError> {
    return this.#worker.failed;
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#worker.call({ method: "step", runs });
  }

  prepareConstraint(constraint: Constraint): Promise<void> {
    return this.#worker.call({ method: "prepare", constraint });
  }

  startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    return this.#worker.call({ method: "startSampling", slot, sampling });
  }

  generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    return this.#worker.call({ method: "generate", runs, steps });
  }

  readState(slot: number): Promise<Float32Array> {
    return this.#worker.call({ method: "readState", slot });
  }

  writeState(slot: number, state: Float32Array | null): Promise<void> {
    return this.#worker.call({ method: "writeState", slot, state });
  }

  copyState(from: number, to: number): Promise<void> {
    return this.#worker.call({ method: "copyState", from, to });
  }

  /** Frees the device if the Worker still responds, and terminates the Worker in any case. */
  async close(): Promise<void> {
    const { promise: timeout, resolve } = deferred<void>();
    const timer = setTimeout(resolve, CLOSE_MS);
    try {
      await Promise.race([this.#worker.call({ method: "close" }), timeout]);
    } finally {
      clearTimeout(timer);
      this.#worker.terminate();
    }
  }
}

/** Sends calls to a Worker and matches replies to calls. */
class EngineCaller {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #failed = deferred<InferenceError>();
  #nextId = 0;
  #failure: InferenceError | null = null;

  /** @param onProgress Receives the progress of `open`; other calls report none. */
  constructor(
    worker: Worker,
    { onProgress, onNotice }: { onProgress: OnProgress; onNotice: OnNotice },
  ) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if ("failed" in data) {
        return this.#failed.resolve(deserializeError(data.failed) as InferenceError);
      }
      if ("notice" in data) return onNotice(...data.notice);
      if ("progress" in data) return onProgress(...data.progress);
      const call = this.#pending.get(data.id);
      this.#pending.delete(data.id);
      if ("value" in data) call?.resolve(data.value);
      else call?.reject(deserializeError(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const message = `The engine's Worker failed: ${event.message}`;
      const failure = new InferenceError("device_lost", message, { fault: "worker" });
      this.#fail(failure);
      this.#failed.resolve(failure);
    };
  }

  get failed(): Promise<InferenceError> {
    return this.#failed.promise;
  }

  // deno-lint-ignore no-explicit-any -- the result type depends on the method
  call(request: Call): Promise<any> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const pending = deferred<unknown>();
    this.#pending.set(id, pending);
    this.#worker.postMessage({ ...request, id } satisfies Request);
    return pending.promise;
  }

  terminate(): void {
    this.#worker.terminate();
    this.#fail(new InferenceError("device_lost", "The engine is closed"));
  }

  #fail(error: InferenceError): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

function deserializeError({ code, message, param, fault }: SerializedError): Error {
  return code ? new InferenceError(code, message, { param, fault }) : new Error(message);
}

function serializeError(error: unknown): SerializedError {
  const { message } = error as Error;
  if (!(error instanceof InferenceError)) return { message };
  const { code, param, fault } = error;
  return { code, message, param, fault };
}

/** The part of a Worker's global scope used here. */
export interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer: Transferable[]): void;
}

/** Handles the calls of a `WorkerEngine` with the engine returned by `open`. */
export function handleEngineCalls(
  scope: WorkerScope,
  open: (
    options: unknown,
    callbacks: { onProgress: OnProgress; onNotice: OnNotice },
  ) => Promise<SamplingEngine>,
): void {
  let engine: SamplingEngine | null = null;
  const handle = async (call: Request): Promise<unknown> => {
    if (call.method === "open") {
      engine = await open(call.options, {
        onProgress: (...progress) => scope.postMessage({ id: call.id, progress }, []),
        onNotice: (...notice) => scope.postMessage({ notice }, []),
      });
      engine.failed?.then((error) => scope.postMessage({ failed: serializeError(error) }, []));
      return { info: engine.info, maxSteps: engine.maxSteps };
    }
    if (!engine) throw new Error(`Cannot call ${call.method}: the engine is not open`);
    switch (call.method) {
      case "step":
        return await engine.step(call.runs);
      case "prepare":
        return await engine.prepareConstraint(call.constraint);
      case "startSampling":
        return await engine.startSampling(call.slot, call.sampling);
      case "generate":
        return await engine.generate(call.runs, call.steps);
      case "readState":
        return await engine.readState(call.slot);
      case "writeState":
        return await engine.writeState(call.slot, call.state);
      case "copyState":
        return await engine.copyState(call.from, call.to);
      case "close":
        return await engine.close();
    }
  };
  scope.onmessage = async ({ data }: MessageEvent<Request>) => {
    try {
      const value = await handle(data);
      scope.postMessage({ id: data.id, value }, buffersOf(value));
    } catch (error) {
      scope.postMessage({ id: data.id, error: serializeError(error) }, []);
    }
  };
}

/** Returns the array buffers of a result, to transfer them. */
function buffersOf(value: unknown): Transferable[] {
  if (value instanceof Float32Array) return [value.buffer as ArrayBuffer];
  return Array.isArray(value) ? value.flatMap(buffersOf) : [];
}

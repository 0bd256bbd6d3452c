/** The worker as routes see it: the status of its model and of its store. */

import { InferenceError } from "../src/core/errors.ts";
import type { SessionsByTenant } from "../src/session/session_api.ts";

/** Where and how the model runs. Fields are absent until they are known. */
export interface WorkerDetails {
  /** The model's id. */
  model?: string | undefined;
  /** The engine that runs it. */
  device?: "webgpu" | "cpu" | undefined;
  /** The adapter's name, from the platform. */
  adapter?: string | undefined;
  /** Whether the adapter is a software renderer. */
  software?: boolean | undefined;
  /** Why this device was chosen, such as "CPU engine: there is no WebGPU adapter". */
  deviceReason?: string | undefined;
  /** Warning about the device for the operator. */
  warning?: string | null | undefined;
  /** The format of the weights in memory. */
  quant?: string | undefined;
  /** Fraction of the weights that is loaded, 0 to 1. */
  loaded?: number | undefined;
  /** Bytes allocated by the engine. */
  memory?: { weights: number; states: number; work: number } | undefined;
}

/** Whether the store is reachable. */
export interface StoreStatus {
  /** `unknown` until the first probe. */
  status: "reachable" | "unreachable" | "unknown";
  /** The cause, without addresses or paths. */
  problem: string | null;
  /** Start of this status, in epoch milliseconds. */
  since: number;
}

/** Reports the status of the store. */
export interface StoreMonitor {
  /** Where the store keeps its data. */
  kind: "memory" | "file" | "server";
  /** Returns the last known status without a probe. */
  last(): StoreStatus;
  /** Probes the store, or returns a result that is a few seconds old. */
  probe(): Promise<StoreStatus>;
}

/** The status of a worker. */
export interface WorkerStatus {
  /** `rebuilding`: the model is being reloaded after a device failure. */
  readonly state: "starting" | "ready" | "rebuilding" | "failed";
  /** Why a worker that was ready accepts no turns, without addresses or paths. */
  readonly reason: string | null;
  /** Rejects if the model cannot be loaded. */
  readonly ready: Promise<SessionsByTenant>;
  /** Details for `/health`. */
  readonly details: WorkerDetails;
  /** `null` until the store is open. */
  readonly store: StoreMonitor | null;
}

export interface ReadyOptions {
  /** How long to wait for a starting worker. */
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Waits until the worker is ready, and returns its sessions.
 *
 * @throws InferenceError `not_ready` or `cancelled`
 */
export async function waitUntilReady(
  worker: WorkerStatus,
  { timeoutMs, signal }: ReadyOptions,
): Promise<SessionsByTenant> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const seconds = timeoutMs / 1000;
    reject(
      new InferenceError("not_ready", `The model is still loading after ${seconds} s; retry later`),
    );
  }, timeoutMs);
  const onAbort = () => reject(new InferenceError("cancelled", "The client closed the request"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const sessions = worker.ready.catch((error) => {
      throw workerFailed(error);
    });
    return await Promise.race([sessions, interrupted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function workerFailed(error: unknown): InferenceError {
  const reason = error instanceof InferenceError ? `: ${error.message}` : "";
  return new InferenceError("not_ready", `The worker has failed${reason}; see its log`, {
    cause: error,
  });
}

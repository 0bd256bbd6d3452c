/** What routes know of the worker behind them: a model that loads, then runs, or failed; its store. */

import { InferenceError } from "../src/core/errors.ts";
import type { SessionsByTenant } from "../src/session/session_api.ts";

/** Where and how the model runs, as far as it is known yet. */
export interface WorkerDetails {
  /** Its id. */
  model?: string | undefined;
  /** What it runs on. */
  device?: "webgpu" | "cpu" | undefined;
  /** As the platform names it. */
  adapter?: string | undefined;
  /** True where the adapter is a software renderer. */
  software?: boolean | undefined;
  /** Why this device, such as "CPU engine: there is no WebGPU adapter". */
  deviceReason?: string | undefined;
  /** What an operator should know about the device. */
  warning?: string | null | undefined;
  /** How the weights are held. */
  quant?: string | undefined;
  /** Share of the weights that is in its place, 0 to 1. */
  loaded?: number | undefined;
  /** Bytes that the engine has allocated. */
  memory?: { weights: number; states: number; work: number } | undefined;
}

/** Whether what holds the states can be reached. */
export interface StoreStatus {
  /** Before the first answer nothing is known. */
  status: "reachable" | "unreachable" | "unknown";
  /** What is wrong, without addresses or paths. */
  problem: string | null;
  /** Since when, in epoch milliseconds. */
  since: number;
}

/** The store, as those see it who ask how it is. */
export interface StoreMonitor {
  /** What it is. */
  kind: "memory" | "file" | "server";
  /** As last known. */
  last(): StoreStatus;
  /** As it is now, or was a few seconds ago. */
  probe(): Promise<StoreStatus>;
}

/** A worker as its routes see it. */
export interface WorkerStatus {
  /** Whether its model loads, runs, is loaded again since its device has failed, or runs no more. */
  readonly state: "starting" | "ready" | "rebuilding" | "failed";
  /** Why it takes no turns though it did, without addresses or paths. */
  readonly reason: string | null;
  /** Rejects with what went wrong. */
  readonly ready: Promise<SessionsByTenant>;
  /** What `/health` tells. */
  readonly details: WorkerDetails;
  /** Once it is open. */
  readonly store: StoreMonitor | null;
}

export interface ReadyOptions {
  /** Milliseconds to wait for a worker that starts. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** @throws InferenceError `not_ready` or `cancelled` */
export async function waitUntilReady(
  worker: WorkerStatus,
  { timeoutMs: timeout, signal }: ReadyOptions,
): Promise<SessionsByTenant> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const seconds = timeout / 1000;
    reject(
      new InferenceError("not_ready", `The model is still loading after ${seconds} s; try again`),
    );
  }, timeout);
  const leave = () => reject(new InferenceError("cancelled", "The client has gone"));
  signal.addEventListener("abort", leave, { once: true });
  try {
    const sessions = worker.ready.catch((error) => {
      throw failed(error);
    });
    return await Promise.race([sessions, interrupted]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
  }
}

function failed(error: unknown): InferenceError {
  const reason = error instanceof InferenceError ? `: ${error.message}` : "";
  return new InferenceError("not_ready", `The worker has failed${reason}`, { cause: error });
}

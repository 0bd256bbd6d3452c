/** What routes know of the worker behind them: a model that loads, then runs, or failed. */

import { InferenceError } from "../src/core/errors.ts";
import type { SessionsByTenant } from "../src/session/tenant_sessions.ts";

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
  /** How the weights are held. */
  quant?: string | undefined;
  /** Share of the weights that is in its place, 0 to 1. */
  loaded?: number | undefined;
  /** Bytes that the engine has allocated. */
  memory?: { weights: number; states: number; work: number } | undefined;
  /** What holds the states: a path or a URL. */
  kv?: string | undefined;
}

/** A worker as its routes see it. */
export interface WorkerStatus {
  /** Whether its model loads, runs, or could not be loaded. */
  readonly state: "starting" | "ready" | "failed";
  /** Rejects with what went wrong. */
  readonly ready: Promise<SessionsByTenant>;
  /** What `/health` tells. */
  readonly details: WorkerDetails;
}

export interface ReadyOptions {
  /** Milliseconds to wait for a worker that starts. */
  timeout: number;
  signal: AbortSignal;
}

/** @throws InferenceError `not_ready` or `cancelled` */
export async function readySessions(
  worker: WorkerStatus,
  { timeout, signal }: ReadyOptions,
): Promise<SessionsByTenant> {
  if (worker.state === "failed") {
    const reason = await worker.ready.then(() => undefined, (error: unknown) => error);
    throw failed(reason);
  }
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

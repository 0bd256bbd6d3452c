/**
 * Starts a worker: the HTTP application, authentication, and the sessions, whose engine may load
 * later, fail and restart.
 */

import type { ObservedRequest } from "../../routes/middleware/request_observer.ts";
import { type AppOptions, createApp } from "../../routes/app.ts";
import { isLoopback } from "../../routes/middleware/guard.ts";
import type { WorkerDetails, WorkerStatus } from "../../routes/worker.ts";
import { Account } from "../access/account.ts";
import { openUsageTracker } from "../access/usage_tracker.ts";
import type { InferenceError } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import type { OnNotice, OnProgress } from "../engine/engine.ts";
import type { EngineEvents } from "../engine/supervisor/engine_recovery.ts";
import { openAccess } from "./open_access.ts";
import { logRequest } from "./request_log.ts";
import { logError } from "./error_log.ts";
import { Metrics } from "./metrics.ts";
import { limitFlags } from "./limit_settings.ts";
import { originsFlag } from "./origins.ts";
import { storeKind } from "../store/backends/registry.ts";
import { kvFlag, openBackend } from "./open_store.ts";
import { openSessions, type OpenSessionsOptions, type RunningSessions } from "./open_sessions.ts";
import { describeFault } from "./supervised_engine.ts";
import type { Flags } from "../settings/flags.ts";

/**
 * A worker during and after startup. Its application answers immediately; turns wait until it is
 * ready.
 */
export interface StartedWorker {
  app: ReturnType<typeof createApp>;
  /**
   * Resolves when the worker may serve. Rejects with the reason if it may not; `ready` then rejects
   * too.
   */
  accessValidated: Promise<void>;
  /** Rejects with the startup error. */
  ready: Promise<RunningSessions>;
  /** Resolves if the engine fails permanently, after which no turn can run. */
  engineFailed: Promise<InferenceError>;
  /** The worker's metrics. */
  metrics: Metrics;
}

export interface StartWorkerOptions
  extends
    Pick<OpenSessionsOptions, "openEngine" | "engineLimits" | "withProgress">,
    Omit<
      AppOptions,
      | "worker"
      | "log"
      | "allowedOrigins"
      | "localOnly"
      | "auth"
      | "openAccount"
      | "metrics"
      | "metricsToken"
      | "onResponse"
    > {
  log: Logger;
  /** The address that the server listens on. */
  hostname: string;
  onProgress?: OnProgress;
  /** Reads an environment variable. */
  env?: (name: string) => string | undefined;
}

/** Starts a worker. Other options are passed to the application. */
export function startWorker(
  flags: Flags,
  { log, hostname, onProgress = () => {}, env = (name) => Deno.env.get(name), ...given }:
    StartWorkerOptions,
): StartedWorker {
  const origins = originsFlag(flags);
  const defaults = limitFlags(flags);
  const details: WorkerDetails = {};
  const { openEngine, engineLimits, withProgress, ...options } = given;
  let running: RunningSessions | null = null;
  let failed = false;
  const onLoaded: OnProgress = (done, total) => {
    details.loaded = done / total;
    onProgress(done, total);
  };
  const metrics = new Metrics();
  const backend = openBackend(kvFlag(flags), {
    onChange: (problem) => logStoreChange(log, problem),
    onRetry: () => metrics.storeRetried(),
  });
  backend.catch(() => {}); // Every consumer reports this failure itself.
  const { access, metricsToken, validate } = openAccess(flags, { backend, env, hostname });
  const usageTracker = openUsageTracker({ backend, defaults, later: runLater, telemetry: metrics });
  const accessValidated = validate(log).catch(async (error) => {
    (await backend.catch(() => null))?.close();
    throw error;
  });
  accessValidated.catch(() => {});
  const engineFailed = Promise.withResolvers<InferenceError>();
  const sessionOptions = {
    onNotice: ((level, message) => log[level](message)) satisfies OnNotice,
    telemetry: metrics,
    backend,
    storedUsage: usageTracker.stored,
    engineEvents: engineLog(log, engineFailed.resolve),
    openEngine,
    engineLimits,
    withProgress,
  };
  const ready = accessValidated.then(() => openSessions(flags, onLoaded, sessionOptions)).then(
    (opened) => {
      metrics.observeWorker(opened);
      const { device, adapter, software, quant, memory, selection } = opened.engine.info;
      Object.assign(details, { model: opened.modelId, device, adapter, software, quant, memory });
      Object.assign(details, { deviceReason: selection?.reason, warning: selection?.warning });
      running = opened;
      return opened;
    },
    (error) => {
      failed = true;
      throw error;
    },
  );
  const tenants = ready.then((running) => running.tenants);
  // Requests report this failure, but there may not have been one yet.
  tenants.catch(() => {});
  const worker: WorkerStatus = {
    get state() {
      if (!running) return failed ? "failed" : "starting";
      const { state } = running.engine.status;
      return state === "running" ? "ready" : state;
    },
    get reason() {
      return running && describeFault(running.engine.status);
    },
    ready: tenants,
    details,
    get store() {
      if (!running) return null;
      const { kv, store } = running;
      return { kind: storeKind(kv), last: () => store.last(), probe: () => store.probe() };
    },
  };
  const onResponse = (request: ObservedRequest) => {
    metrics.observeResponse(request);
    logRequest(log, request);
  };
  const local = async () =>
    !flags.open && isLoopback(hostname) && !await access.keysRequired().catch(() => false);
  const onError = (message: string, error: unknown) => logError(log, message, error);
  const app = createApp({
    ...options,
    allowedOrigins: origins,
    localOnly: local,
    worker,
    auth: access,
    openAccount: (caller) => new Account(caller, usageTracker),
    log: onError,
    metrics,
    metricsToken,
    onResponse,
  });
  return { app, accessValidated, ready, engineFailed: engineFailed.promise, metrics };
}

/** Runs `work` later without keeping the process alive. */
function runLater(work: () => void, milliseconds: number): void {
  Deno.unrefTimer(setTimeout(work, milliseconds));
}

function logStoreChange(log: Logger, problem: string | null): void {
  if (problem === null) return log.info("The state store has recovered");
  log.warn(
    "The state store does not respond: states cannot be loaded or stored until it recovers",
    {
      problem,
    },
  );
}

function engineLog(log: Logger, onFailed: (error: InferenceError) => void): EngineEvents {
  return {
    onFault: (kind, { message: problem }, what) => {
      if (what === "turn") {
        log.warn("A turn has failed: its state contains NaN or infinite values", { problem });
      } else log.error("The engine has failed", { kind, problem });
    },
    onRebuilt: (seconds) => log.info("The engine has restarted", { seconds: Math.round(seconds) }),
    onFailed: (error) => {
      log.error("The engine has failed permanently", { problem: error.message });
      onFailed(error);
    },
  };
}

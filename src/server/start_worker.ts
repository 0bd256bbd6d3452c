/**
 * Starts a worker: the HTTP application, who may ask, and behind it sessions that may come, fail and
 * come back.
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

/** A worker that starts: its application answers at once, turns wait until it is ready. */
export interface StartedWorker {
  app: ReturnType<typeof createApp>;
  /** Resolves when it may serve; rejects with why it must not, as `ready` does then. */
  accessValidated: Promise<void>;
  /** Rejects with what went wrong. */
  ready: Promise<RunningSessions>;
  /** Resolves if its engine is given up: no turn is carried out any more. */
  engineFailed: Promise<InferenceError>;
  /** What it counts. */
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
      | "metrics"
      | "metricsToken"
      | "onResponse"
    > {
  log: Logger;
  /** The address that is listened on. */
  hostname: string;
  onProgress?: OnProgress;
  /** A variable of the environment. */
  env?: (name: string) => string | undefined;
}

/** Starts a worker; other options go to the application. */
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
    onChange: (problem) => tellOfStore(log, problem),
    onRetry: () => metrics.storeRetried(),
  });
  backend.catch(() => {}); // told by whoever needs it
  const { access, metricsToken, validate: checked } = openAccess(flags, { backend, env, hostname });
  const ledger = openUsageTracker({ backend, defaults, later: laterUnheld, telemetry: metrics });
  const allowed = checked(log).catch(async (error) => {
    (await backend.catch(() => null))?.close();
    throw error;
  });
  allowed.catch(() => {});
  const givenUp = Promise.withResolvers<InferenceError>();
  const told = {
    onNotice: ((level, message) => log[level](message)) satisfies OnNotice,
    telemetry: metrics,
    backend,
    storedUsage: ledger.stored,
    engineEvents: engineLog(log, givenUp.resolve),
    openEngine,
    engineLimits,
    withProgress,
  };
  const ready = allowed.then(() => openSessions(flags, onLoaded, told)).then((opened) => {
    metrics.observeWorker(opened);
    const { device, adapter, software, quant, memory, selection } = opened.engine.info;
    Object.assign(details, { model: opened.modelId, device, adapter, software, quant, memory });
    Object.assign(details, { deviceReason: selection?.reason, warning: selection?.warning });
    running = opened;
    return opened;
  }, (error) => {
    failed = true;
    throw error;
  });
  const tenants = ready.then((running) => running.tenants);
  // Whoever asks for sessions sees the failure; nobody may have asked yet.
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
  const onAnswer = (answered: ObservedRequest) => {
    metrics.observeResponse(answered);
    logRequest(log, answered);
  };
  const local = async () =>
    !flags.open && isLoopback(hostname) && !await access.keysRequired().catch(() => false);
  const onBug = (message: string, error: unknown) => logError(log, message, error);
  const app = createApp({
    ...options,
    allowedOrigins: origins,
    localOnly: local,
    worker,
    auth: access,
    openAccount: (caller) => new Account(caller, ledger),
    log: onBug,
    metrics,
    metricsToken,
    onResponse: onAnswer,
  });
  return { app, accessValidated: allowed, ready, engineFailed: givenUp.promise, metrics };
}

/** A process that has ended its work does not wait for this. */
function laterUnheld(work: () => void, milliseconds: number): void {
  Deno.unrefTimer(setTimeout(work, milliseconds));
}

function tellOfStore(log: Logger, problem: string | null): void {
  if (problem === null) return log.info("The state store answers again");
  log.warn("The state store does not answer: nothing is resumed or stored until it does", {
    problem,
  });
}

function engineLog(log: Logger, onEnd: (error: InferenceError) => void): EngineEvents {
  return {
    onFault: (kind, { message: problem }, what) => {
      if (what === "turn") log.warn("A turn has ended, its state gives no numbers", { problem });
      else log.error("The engine has failed", { kind, problem });
    },
    onRebuilt: (seconds) => log.info("The engine runs again", { seconds: Math.round(seconds) }),
    onFailed: (error) => {
      log.error("The engine is given up", { problem: error.message });
      onEnd(error);
    },
  };
}

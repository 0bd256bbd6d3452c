/** Starts a worker: the HTTP application, and behind it sessions that may come, fail and come back. */

import type { AnsweredRequest } from "../../routes/answered.ts";
import { type AppOptions, createApp } from "../../routes/app.ts";
import type { WorkerDetails, WorkerStatus } from "../../routes/worker.ts";
import type { Logger } from "../core/log.ts";
import type { OnProgress } from "../engine/engine.ts";
import type { EngineEvents } from "../engine/renewal.ts";
import type { Flags } from "./command.ts";
import { logAnswer } from "./log_answer.ts";
import { Metrics } from "./metrics.ts";
import { cpuNotice } from "./open_engine.ts";
import { kindOfStore } from "./store_flags.ts";
import { openSessions, type OpenSessionsOptions, type RunningSessions } from "./worker.ts";
import { troubleText } from "./worker_engine.ts";

/** A worker that starts: its application answers at once, turns wait until it is ready. */
export interface StartedWorker {
  app: ReturnType<typeof createApp>;
  /** Rejects with what went wrong. */
  ready: Promise<RunningSessions>;
}

export interface StartWorkerOptions
  extends
    Omit<AppOptions, "worker" | "log">,
    Pick<OpenSessionsOptions, "openEngine" | "engineLimits"> {
  log: Logger;
  onProgress?: OnProgress | undefined;
}

/** Starts a worker; what is not told here goes to the application. */
export function startWorker(
  flags: Flags,
  { log, onProgress = () => {}, openEngine, engineLimits, ...options }: StartWorkerOptions,
): StartedWorker {
  const details: WorkerDetails = {};
  let running: RunningSessions | null = null;
  let failed = false;
  const onLoaded: OnProgress = (done, total) => {
    details.loaded = done / total;
    onProgress(done, total);
  };
  const metrics = new Metrics();
  const ready = openSessions(flags, onLoaded, {
    onStoreChange: storeLog(log),
    onNotice: log.info,
    telemetry: metrics,
    engineEvents: engineLog(log),
    openEngine,
    engineLimits,
  }).then((opened) => {
    metrics.watch(opened);
    const { device, adapter, software, quant, memory } = opened.engine.info;
    Object.assign(details, { model: opened.modelId, device, adapter, software, quant, memory });
    running = opened;
    const notice = cpuNotice(opened.engine.info, flags);
    if (notice) log.warn(notice);
    return opened;
  }, (error) => {
    failed = true;
    throw error;
  });
  const sessions = ready.then((running) => running.sessions);
  // Whoever asks for sessions sees the failure; nobody may have asked yet.
  sessions.catch(() => {});
  const worker: WorkerStatus = {
    get state() {
      if (!running) return failed ? "failed" : "starting";
      const { state } = running.engine.status;
      return state === "running" ? "ready" : state;
    },
    get reason() {
      return running && troubleText(running.engine.status);
    },
    ready: sessions,
    details,
    get store() {
      if (!running) return null;
      const { kv, store } = running;
      return { kind: kindOfStore(kv), last: () => store.last(), look: () => store.look() };
    },
  };
  const onBug = (message: string, error: unknown) => {
    log.error(message, {
      error: error instanceof Error ? error.stack ?? error.message : `${error}`,
    });
  };
  const onAnswer = (answered: AnsweredRequest) => {
    metrics.answered(answered);
    logAnswer(log, answered);
  };
  return { app: createApp({ ...options, worker, log: onBug, metrics, onAnswer }), ready };
}

function storeLog(log: Logger): (problem: string | null) => void {
  return (problem) => {
    if (problem === null) log.info("The state store answers again");
    else {log.warn("The state store does not answer: nothing is resumed or stored until it does", {
        problem,
      });}
  };
}

function engineLog(log: Logger): EngineEvents {
  return {
    onFault: (kind, { message: problem }, what) => {
      if (what === "turn") log.warn("A turn has ended, its state gives no numbers", { problem });
      else log.error("The engine has failed", { kind, problem });
    },
    onRebuilt: (seconds) => log.info("The engine runs again", { seconds: Math.round(seconds) }),
    onEnd: ({ message: problem }) => log.error("The engine is given up", { problem }),
  };
}

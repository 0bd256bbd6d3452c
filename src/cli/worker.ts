/** Puts a worker together: engine, scheduler, store and sessions, and the HTTP application. */

import type { AnsweredRequest } from "../../routes/answered.ts";
import { type AppOptions, createApp } from "../../routes/app.ts";
import type { WorkerDetails, WorkerStatus } from "../../routes/worker.ts";
import type { Logger } from "../core/log.ts";
import { SILENT, type Telemetry } from "../core/telemetry.ts";
import type { OnProgress, SamplingEngine } from "../engine/engine.ts";
import type { SchedulerNumbers } from "../scheduler/numbers.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { Sessions } from "../session/sessions.ts";
import { STATE_CODECS, type StateCodec } from "../store/state_codec.ts";
import { StateStore } from "../store/state_store.ts";
import { tokenTable } from "../tokenizer/token_table.ts";
import {
  choice,
  type Flags,
  type FlagSpec,
  MODEL_FLAGS,
  number,
  PULL_FLAG,
  TUNE_FLAG,
} from "./command.ts";
import { logAnswer } from "./log_answer.ts";
import { logError } from "./log_error.ts";
import { Metrics } from "./metrics.ts";
import { findModel, modelTokenizer } from "./model_files.ts";
import {
  cpuNotice,
  type EngineOptions,
  engineOptions,
  openEngineWorker,
  SERVED,
} from "./open_engine.ts";
import { KV_FLAG, kvOf, openBackend } from "./store_flags.ts";

/** Requests that wait, and seconds of a turn, unless flags say otherwise. */
const QUEUE = 64;
const TURN_SECONDS = 600;

/** Seconds that states last, and MiB of them in memory, unless flags say otherwise. */
const STATE_TTL = 7 * 24 * 3600;
const STATE_CACHE = 256;
const STATE_CODEC: StateCodec = "f16";

/** Milliseconds for storing turns that are cut short. */
const STORE_MS = 1500;

/** Flags of everything that keeps conversations. */
export const WORKER_FLAGS = {
  ...MODEL_FLAGS,
  ...PULL_FLAG,
  ...TUNE_FLAG,
  ...KV_FLAG,
  slots: {
    type: "string",
    value: "N",
    env: "RWKV_SLOTS",
    help: "replies that are written at once",
    default: `${SERVED.slots}, or what there is memory for`,
  },
  "state-ttl": {
    type: "string",
    value: "S",
    env: "RWKV_STATE_TTL",
    help: "seconds that a state is kept after its last use",
    default: `${STATE_TTL}, that is, 7 days`,
  },
  "state-cache": {
    type: "string",
    value: "MIB",
    env: "RWKV_STATE_CACHE",
    help: "memory for states that were stored or read last; 0 for none",
    default: `${STATE_CACHE}`,
  },
  "state-codec": {
    type: "string",
    value: STATE_CODECS.join("|"),
    env: "RWKV_STATE_CODEC",
    help: "how states of finished turns are stored; all are read",
    default: STATE_CODEC,
  },
  "no-prefix-index": {
    type: "boolean",
    help: "do not look for the state of a history that is sent whole, nor keep system prompts",
  },
  queue: {
    type: "string",
    value: "N",
    env: "RWKV_QUEUE",
    help: "requests that wait for a slot at most; further ones get 503",
    default: `${QUEUE}`,
  },
  "turn-seconds": {
    type: "string",
    value: "N",
    env: "RWKV_TURN_SECONDS",
    help: "seconds after which a reply ends as it is, with finish_reason length",
    default: `${TURN_SECONDS}`,
  },
} as const satisfies Record<string, FlagSpec>;

/** Everything behind the routes. */
export interface RunningSessions {
  sessions: Sessions;
  engine: SamplingEngine;
  modelId: string;
  kv: string;
  numbers: () => SchedulerNumbers;
  /**
   * Lets turns under way end, for `grace` milliseconds at most; stores those that go on as open
   * turns, as far as they are; closes the store. The engine ends with the process, which is to
   * follow: to free a device and exit at once has crashed in software drivers.
   */
  close: (grace: number) => Promise<void>;
}

export interface OpenSessionsOptions {
  telemetry?: Telemetry | undefined;
  /** Told what is wrong when the state store begins to fail, and `null` when it answers again. */
  onStoreChange?: (problem: string | null) => void;
  /** Told how a download goes, a line at a time. */
  onNotice?: (line: string) => void;
}

/**
 * Loads the model into a Worker and opens the state store.
 *
 * @throws InferenceError naming the file or flag that is at fault.
 */
export async function openSessions(
  flags: Flags,
  onProgress?: OnProgress,
  { onStoreChange, onNotice, telemetry = SILENT }: OpenSessionsOptions = {},
): Promise<RunningSessions> {
  const files = await findModel(flags, onNotice);
  const tokenizer = await modelTokenizer(files);
  const options = {
    ...engineOptions(flags, files, slotsOf(flags)),
    tokens: tokenTable(tokenizer),
    endOfText: tokenizer.endOfText,
    tune: !flags["no-tune"],
  };
  const kv = kvOf(flags);
  const backend = await openBackend(kv, {
    onChange: onStoreChange,
    onRetry: () => telemetry.storeRetried(),
  });
  let engine: SamplingEngine;
  try {
    engine = await openEngineWorker(options, onProgress);
  } catch (error) {
    backend.close();
    throw error;
  }
  const { dimensions, fingerprint, quant } = engine.info;
  const scheduler = new Scheduler(engine, {
    maxQueue: number(flags, "queue", { min: 1, max: 1e6, integer: true }) ?? QUEUE,
  });
  const { from } = files.source;
  const { mtime } = "file" in from ? await Deno.stat(from.file) : { mtime: null };
  const sessions = new Sessions({
    runner: scheduler,
    store: new StateStore(backend, {
      ttl: 1000 * (number(flags, "state-ttl", { min: 60, max: 1e9 }) ?? STATE_TTL),
      cacheBytes: 2 ** 20 * (number(flags, "state-cache", { min: 0, max: 1e6 }) ?? STATE_CACHE),
      telemetry,
    }),
    telemetry,
    prefixes: !flags["no-prefix-index"],
    tokenizer,
    limits: { turnSeconds: number(flags, "turn-seconds", { min: 1, max: 1e6 }) ?? TURN_SECONDS },
    model: {
      id: files.id,
      fingerprint,
      quant,
      vocabulary: dimensions.vocabulary,
      shape: dimensions,
      codec: choice(flags, "state-codec", { choices: STATE_CODECS, otherwise: STATE_CODEC }),
      created: Math.floor((mtime?.getTime() ?? Date.now()) / 1000),
    },
  });
  return {
    sessions,
    engine,
    modelId: files.id,
    kv,
    numbers: () => scheduler.numbers,
    close: async (grace) => {
      const ended = scheduler.close().then(() => sessions.settled());
      if (!await endsWithin(ended, grace)) {
        sessions.interrupt();
        await endsWithin(ended, STORE_MS);
      }
      backend.close();
    },
  };
}

/** A number of slots that was asked for is had or refused. */
function slotsOf(flags: Flags): Pick<EngineOptions, "slots" | "leastSlots" | "maxStepTokens"> {
  const slots = number(flags, "slots", { min: 1, max: 1024, integer: true });
  if (slots === undefined) return SERVED;
  return { slots, maxStepTokens: Math.max(slots, SERVED.maxStepTokens) };
}

/** Whether `work` is done before `limit` milliseconds are over. */
export async function endsWithin(work: Promise<unknown>, limit: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), limit);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A worker that starts: its application answers at once, turns wait until it is ready. */
export interface StartedWorker {
  app: ReturnType<typeof createApp>;
  /** Rejects with what went wrong. */
  ready: Promise<RunningSessions>;
}

/** Starts a worker; `options` go to the application. */
export function startWorker(
  flags: Flags,
  { log, onProgress = () => {}, ...options }: {
    log: Logger;
    onProgress?: OnProgress;
  } & Omit<AppOptions, "worker" | "log">,
): StartedWorker {
  const details: WorkerDetails = {};
  let state: WorkerStatus["state"] = "starting";
  const onLoaded: OnProgress = (done, total) => {
    details.loaded = done / total;
    onProgress(done, total);
  };
  const onStoreChange = (problem: string | null) => {
    if (problem === null) log.info("The state store answers again");
    else {log.warn("The state store does not answer: nothing is resumed or stored until it does", {
        problem,
      });}
  };
  const metrics = new Metrics();
  const told = { onStoreChange, onNotice: log.info, telemetry: metrics };
  const ready = openSessions(flags, onLoaded, told).then((running) => {
    metrics.watch(running);
    const { device, adapter, software, quant, memory } = running.engine.info;
    Object.assign(details, { model: running.modelId, device, adapter, software, quant, memory });
    details.kv = running.kv;
    state = "ready";
    const notice = cpuNotice(running.engine.info, flags);
    if (notice) log.warn(notice);
    return running;
  }, (error) => {
    state = "failed";
    throw error;
  });
  const sessions = ready.then((running) => running.sessions);
  // Whoever asks for sessions sees the failure; nobody may have asked yet.
  sessions.catch(() => {});
  const worker: WorkerStatus = {
    get state() {
      return state;
    },
    ready: sessions,
    details,
  };
  const onBug = (message: string, error: unknown) => logError(log, message, error);
  const onAnswer = (answered: AnsweredRequest) => {
    metrics.answered(answered);
    logAnswer(log, answered);
  };
  return { app: createApp({ ...options, worker, log: onBug, metrics, onAnswer }), ready };
}

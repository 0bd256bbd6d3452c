/** Opens the parts behind the routes of a worker: engine, scheduler, store and sessions. */

import { NO_TELEMETRY, type Telemetry } from "../core/telemetry.ts";
import { DEFAULT_TENANT } from "../core/tenant.ts";
import type { OnNotice, OnProgress } from "../engine/engine.ts";
import type { EngineSupervisor } from "../engine/supervisor/engine_supervisor.ts";
import type { EngineEvents, SupervisorLimits } from "../engine/supervisor/engine_recovery.ts";
import type { SchedulerSnapshot } from "../scheduler/scheduler_stats.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { Sessions } from "../session/sessions.ts";
import { TenantSessions } from "../session/tenant_sessions.ts";
import type { Backend } from "../store/backends/backend.ts";
import { BlobCache } from "../store/states/blob_cache.ts";
import { STATE_CODECS } from "../store/states/state_codec.ts";
import { type StateChange, StateStore } from "../store/states/state_store.ts";
import type { StoredUsage } from "../store/usage/stored_usage.ts";
import { StoreProbe } from "../store/backends/store_probe.ts";
import { recordTenant } from "../store/tenants.ts";
import { tokenTable, vocabularyHash } from "../tokenizer/token_table.ts";
import type { WithProgress } from "../model_files/choose_file.ts";
import { findModel, openModelTokenizer } from "../model_files/find_model.ts";
import {
  DEFAULT_ENGINE_SIZES,
  type EngineOptions,
  engineOptions,
  type OpenEngine,
} from "./open_engine.ts";
import { kvFlag, openBackend } from "./open_store.ts";
import { openSupervisedEngine } from "./supervised_engine.ts";
import { choiceFlag, type Flags } from "../settings/flags.ts";
import { numberSetting, SETTINGS } from "../settings/settings.ts";

/** Milliseconds reserved for storing interrupted turns. */
const STORE_MS = 1500;

/** The parts behind the routes. */
export interface RunningSessions {
  /** Sessions of all tenants. */
  tenants: TenantSessions;
  /** Sessions of the default tenant. */
  sessions: Sessions;
  engine: EngineSupervisor;
  modelId: string;
  kv: string;
  /** Whether the store is encrypted at rest. */
  encrypted: boolean;
  store: StoreProbe;
  schedulerStats: () => SchedulerSnapshot;
  /**
   * Waits up to `grace` milliseconds for turns to end, stores the remaining ones as open turns, and
   * closes the store. Does not close the engine: the process must exit afterwards, because
   * destroying a device right before the exit has crashed software drivers.
   */
  close: (grace: number) => Promise<void>;
}

export interface OpenSessionsOptions {
  telemetry?: Telemetry | undefined;
  /** A store to use instead of the one that flags select. May still be opening. */
  backend?: Promise<Backend> | undefined;
  /** Receives the storage changes of tenants. */
  storedUsage?: StoredUsage | undefined;
  /**
   * Called with the problem when the state store starts to fail, and with `null` when it recovers.
   */
  onStoreChange?: (problem: string | null) => void;
  /** Receives messages for the operator, for example about downloads and tuning. */
  onNotice?: OnNotice | undefined;
  /** Shows the progress of a download of the model. */
  withProgress?: WithProgress | undefined;
  /** Receives failures and restarts of the engine. */
  engineEvents?: Partial<EngineEvents> | undefined;
  /** Opens engines. Defaults to `openEngineWorker`. */
  openEngine?: OpenEngine | undefined;
  engineLimits?: Partial<SupervisorLimits> | undefined;
}

/**
 * Loads the model in a Web Worker and opens the state store.
 *
 * @throws InferenceError with the file or flag that caused the failure.
 */
export async function openSessions(
  flags: Flags,
  onProgress?: OnProgress,
  { onStoreChange, onNotice = () => {}, telemetry = NO_TELEMETRY, ...given }: OpenSessionsOptions =
    {},
): Promise<RunningSessions> {
  const files = await findModel(flags, {
    onMessage: (line) => onNotice("info", line),
    withProgress: given.withProgress,
  });
  const tokenizer = await openModelTokenizer(files);
  const tokens = tokenTable(tokenizer);
  const vocabulary = await vocabularyHash(tokens, tokenizer.endOfText);
  const options = {
    ...engineOptions(flags, files, engineSizes(flags)),
    tokens,
    endOfText: tokenizer.endOfText,
    tuning: flags["no-tune"] ? "off" as const : "idle" as const,
  };
  const kv = kvFlag(flags);
  const backend = await (given.backend ?? openBackend(kv, {
    onChange: onStoreChange,
    onRetry: () => telemetry.storeRetried(),
  }));
  let engine: EngineSupervisor;
  try {
    engine = await openSupervisedEngine(options, {
      telemetry,
      onProgress,
      onNotice,
      events: given.engineEvents,
      openEngine: given.openEngine,
      limits: given.engineLimits,
    });
  } catch (error) {
    backend.close();
    throw error;
  }
  const { dimensions, fingerprint, quant } = engine.info;
  const scheduler = new Scheduler(engine, {
    maxQueue: numberSetting(flags, "queue"),
    maxPerFairnessKey: numberSetting(flags, "turns-per-key"),
    recovery: engine,
  });
  const { from } = files.source;
  const { mtime } = "file" in from ? await Deno.stat(from.file) : { mtime: null };
  const cacheMiB = numberSetting(flags, "state-cache");
  const states = {
    ttl: 1000 * numberSetting(flags, "state-ttl"),
    cache: new BlobCache(2 ** 20 * cacheMiB),
    vocabularyHash: vocabulary,
    telemetry,
  };
  const shared = {
    runner: scheduler,
    telemetry,
    prefixCaching: !flags["no-prefix-index"],
    tokenizer,
    limits: { turnSeconds: numberSetting(flags, "turn-seconds") },
    model: {
      id: files.id,
      fingerprint,
      vocabularyHash: vocabulary,
      quant,
      vocabulary: dimensions.vocabulary,
      shape: dimensions,
      codec: choiceFlag(flags, "state-codec", {
        choices: STATE_CODECS,
        fallback: SETTINGS["state-codec"].defaultValue,
      }),
      created: Math.floor((mtime?.getTime() ?? Date.now()) / 1000),
    },
  };
  const tenants = new TenantSessions({
    open: (tenant, activeTurns) => {
      // If this write fails, it is repeated when the tenant's sessions are opened again.
      activeTurns.runInBackground(recordTenant(backend, tenant));
      const { storedUsage } = given;
      const onChange = storedUsage &&
        ((change: StateChange) => storedUsage.changed(tenant, change));
      const store = new StateStore(backend, { ...states, tenant, onChange });
      return new Sessions({ ...shared, store, activeTurns });
    },
  });
  return {
    tenants,
    get sessions() {
      return tenants.forTenant(DEFAULT_TENANT);
    },
    engine,
    modelId: files.id,
    kv,
    encrypted: backend.secret !== undefined,
    store: new StoreProbe(backend),
    schedulerStats: () => scheduler.snapshot,
    close: async (grace) => {
      const settled = scheduler.close().then(() => tenants.settled());
      if (!await settlesWithin(settled, grace)) {
        tenants.interrupt();
        await settlesWithin(settled, STORE_MS);
      }
      backend.close();
    },
  };
}

/** Returns the engine sizes. An explicit number of slots is never reduced. */
function engineSizes(flags: Flags): Pick<EngineOptions, "slots" | "minSlots" | "maxStepTokens"> {
  if (flags.slots === undefined) return DEFAULT_ENGINE_SIZES;
  const slots = numberSetting(flags, "slots");
  return { slots, maxStepTokens: Math.max(slots, DEFAULT_ENGINE_SIZES.maxStepTokens) };
}

/** Returns whether `work` settles within `limit` milliseconds. */
export async function settlesWithin(work: Promise<unknown>, limit: number): Promise<boolean> {
  const { promise: timedOut, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), limit);
  try {
    return await Promise.race([work.then(() => true), timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

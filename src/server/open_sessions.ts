/** Puts together what is behind a worker: engine, scheduler, store and sessions. */

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
import { findModel, modelTokenizer } from "../model_files/find_model.ts";
import {
  DEFAULT_ENGINE_SIZES,
  type EngineOptions,
  engineOptions,
  type OpenEngine,
} from "./open_engine.ts";
import { kvFlag, openBackend } from "./open_store.ts";
import { openSupervisedEngine } from "./supervised_engine.ts";
import { choice, type Flags } from "../settings/flags.ts";
import { numberSetting, SETTINGS } from "../settings/settings.ts";

/** Milliseconds for storing turns that are cut short. */
const STORE_MS = 1500;

/** Everything behind the routes. */
export interface RunningSessions {
  /** Everybody's. */
  tenants: TenantSessions;
  /** The default tenant's. */
  sessions: Sessions;
  engine: EngineSupervisor;
  modelId: string;
  kv: string;
  /** Whether what is stored is encrypted at rest. */
  encrypted: boolean;
  store: StoreProbe;
  schedulerStats: () => SchedulerSnapshot;
  /**
   * Lets turns under way end, for `grace` milliseconds at most; stores those that go on as open
   * turns, as far as they are; closes the store. The engine ends with the process, which is to
   * follow: to free a device and exit at once has crashed in software drivers.
   */
  close: (grace: number) => Promise<void>;
}

export interface OpenSessionsOptions {
  telemetry?: Telemetry | undefined;
  /** A store that is open or being opened, in place of the one that flags name. */
  backend?: Promise<Backend> | undefined;
  /** Told what tenants store and remove. */
  storedUsage?: StoredUsage | undefined;
  /** Told what is wrong when the state store begins to fail, and `null` when it answers again. */
  onStoreChange?: (problem: string | null) => void;
  /** Called with what an operator should see: how a download goes, how kernels were tuned. */
  onNotice?: OnNotice | undefined;
  /** Shows the progress of a download of the model. */
  withProgress?: WithProgress | undefined;
  /** Told how the engine fails and comes back. */
  engineEvents?: Partial<EngineEvents> | undefined;
  /** Opens engines; in a Worker unless told. */
  openEngine?: OpenEngine | undefined;
  engineLimits?: Partial<SupervisorLimits> | undefined;
}

/**
 * Loads the model into a Worker and opens the state store.
 *
 * @throws InferenceError naming the file or flag that is at fault.
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
  const tokenizer = await modelTokenizer(files);
  const tokens = tokenTable(tokenizer);
  const vocabulary = await vocabularyHash(tokens, tokenizer.endOfText);
  const options = {
    ...engineOptions(flags, files, slotsOf(flags)),
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
      codec: choice(flags, "state-codec", {
        choices: STATE_CODECS,
        fallback: SETTINGS["state-codec"].defaultValue,
      }),
      created: Math.floor((mtime?.getTime() ?? Date.now()) / 1000),
    },
  };
  const tenants = new TenantSessions({
    open: (tenant, underway) => {
      // Where it can't be written now, it is when the tenant's sessions are made anew.
      underway.runInBackground(recordTenant(backend, tenant));
      const { storedUsage: stored } = given;
      const onChange = stored && ((change: StateChange) => stored.changed(tenant, change));
      const store = new StateStore(backend, { ...states, tenant, onChange });
      return new Sessions({ ...shared, store, activeTurns: underway });
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
      const ended = scheduler.close().then(() => tenants.settled());
      if (!await settlesWithin(ended, grace)) {
        tenants.interrupt();
        await settlesWithin(ended, STORE_MS);
      }
      backend.close();
    },
  };
}

/** A number of slots that was asked for is had or refused. */
function slotsOf(flags: Flags): Pick<EngineOptions, "slots" | "leastSlots" | "maxStepTokens"> {
  if (flags.slots === undefined) return DEFAULT_ENGINE_SIZES;
  const slots = numberSetting(flags, "slots");
  return { slots, maxStepTokens: Math.max(slots, DEFAULT_ENGINE_SIZES.maxStepTokens) };
}

/** Whether `work` is done before `limit` milliseconds are over. */
export async function settlesWithin(work: Promise<unknown>, limit: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), limit);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

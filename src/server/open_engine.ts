/** Opens an engine as configured by flags and the environment. */

import process from "node:process";
import { InferenceError } from "../core/errors.ts";
import type { TokenTable } from "../core/sampling.ts";
import { CpuEngine } from "../engine/cpu/cpu_engine.ts";
import type { LoadTimes, OnNotice, OnProgress, Quant, SamplingEngine } from "../engine/engine.ts";
import { HOST_OVERHEAD_BYTES } from "../engine/memory_check.ts";
import { GpuEngine } from "../engine/gpu/gpu_engine.ts";
import { tuneWhenIdle } from "../engine/gpu/idle_tuning.ts";
import { type OpenWorkerOptions, WorkerEngine } from "../engine/worker_rpc.ts";
import { createTokenConstraints } from "../grammar/token_constraints.ts";
import { openDevice } from "../gpu/mod.ts";
import type { Model } from "../model/load.ts";
import { CpuSamplingEngine } from "../scheduler/cpu_sampling.ts";
import type { ModelFiles, ModelSource } from "../model_files/model_folder.ts";
import { unusedTensorsNotice } from "../model_files/model_report.ts";
import { openModelSource } from "../model_files/open_model_file.ts";
import { platformGpu, selectDevice } from "./select_device.ts";
import { TuningCache } from "./tuning_cache.ts";
import { CLI_COMMAND, type Flags } from "../settings/flags.ts";
import { type DeviceChoice, engineFlags } from "../settings/model_settings.ts";

/** Default sizes of a worker's engine: slots, and tokens per step over all slots. */
export const DEFAULT_ENGINE_SIZES = { slots: 32, minSlots: 4, maxStepTokens: 256 };

/** Options of an engine. Plain data, so that they can be posted to a Web Worker. */
export interface EngineOptions {
  source: ModelSource;
  device: DeviceChoice;
  quant: Quant | undefined;
  slots: number;
  /** Minimum number of slots to accept if memory is insufficient. Defaults to `slots`. */
  minSlots?: number | undefined;
  maxStepTokens: number;
  /** The vocabulary, which sampling needs. */
  tokens?: TokenTable | undefined;
  /** Id of the token that ends a reply, if there is one. */
  endOfText?: number | null | undefined;
  /**
   * Whether to use the tuning cache, and whether to tune while idle if the cache has no entry.
   * Defaults to "off".
   */
  tuning?: "off" | "cached" | "idle" | undefined;
}

/** Creates engine options from flags and the files of a model. */
export function engineOptions(
  flags: Flags,
  { source }: ModelFiles,
  size: Pick<EngineOptions, "slots" | "minSlots" | "maxStepTokens">,
): EngineOptions {
  return { ...engineFlags(flags), source, ...size };
}

export interface OpenEngineOptions {
  onProgress?: OnProgress | undefined;
  onNotice?: OnNotice | undefined;
  /** Defaults to the platform's WebGPU. */
  gpu?: GPU | undefined;
  /** Idle milliseconds before tuning starts. Defaults to 5 s. */
  idleMs?: number | undefined;
  /** Folder of the tuning cache. Defaults to `data/tuning`. */
  tuningFolder?: string | undefined;
}

/**
 * Opens the model and an engine for it.
 *
 * @throws InferenceError `no_adapter` if `webgpu` is requested and there is no adapter.
 */
export async function openEngine(
  options: EngineOptions,
  { onProgress, onNotice = () => {}, gpu = platformGpu(options.device), idleMs, tuningFolder }:
    OpenEngineOptions = {},
): Promise<SamplingEngine> {
  const times: { -readonly [phase in keyof LoadTimes]: number } = {};
  const timed = async <T>(part: keyof LoadTimes, work: Promise<T>): Promise<T> => {
    const start = performance.now();
    const value = await work;
    times[part] = performance.now() - start;
    return value;
  };
  const { model, quant } = await timed("model", openModelSource(options.source, options.quant));
  const notice = unusedTensorsNotice(model);
  if (notice !== null) onNotice("warn", notice);
  const { device, maxStepTokens, tokens, tuning = "off", minSlots = options.slots } = options;
  const constrain = tokens &&
    createTokenConstraints(tokens, { endToken: options.endOfText ?? null });
  try {
    if (tokens) assertVocabularyFits(tokens, model);
    const { open, selection } = await timed("device", selectDevice(device, gpu));
    const cache = open && tuning !== "off"
      ? new TuningCache(open.adapter, model, { quant, maxStepTokens, folder: tuningFolder })
      : null;
    const tuned = cache && await timed(
      "tuning",
      cache.read((problem) => {
        const remedy = `\`${CLI_COMMAND} tune\` replaces it`;
        onNotice("warn", `Ignoring the tuning cache ${cache.path}: ${problem}; ${remedy}`);
      }),
    );
    const create = async (slots: number): Promise<SamplingEngine> => {
      // A software adapter uses system memory, so check it first. A GPU reports exhausted memory.
      const availableBytes = open === null || open.software ? availableMemory() : undefined;
      const sizes = {
        quant,
        slots,
        maxStepTokens,
        availableBytes,
        earlierLoadTimes: times,
        selection,
        onProgress,
      };
      if (!open) {
        return new CpuSamplingEngine(await CpuEngine.create(model, sizes), tokens, {
          createConstraint: constrain,
        });
      }
      const engine = await GpuEngine.create(open, model, {
        ...sizes,
        tokenTable: tokens,
        tuned: tuned?.choices,
        maxStepTokens: Math.max(slots, Math.min(maxStepTokens, tuned?.stepTokens ?? Infinity)),
      });
      if (cache && !tuned && tuning === "idle" && !open.software) {
        void tuneInBackground(engine, { cache, gpu, onNotice, idleMs });
      }
      return tokens
        ? new CpuSamplingEngine(engine, tokens, { device: engine, createConstraint: constrain })
        : engine;
    };
    for (let { slots } = options;; slots = Math.max(minSlots, Math.floor(slots / 2))) {
      try {
        return await create(slots);
      } catch (error) {
        const outOfMemory = error instanceof InferenceError && error.code === "insufficient_memory";
        if (!outOfMemory || slots <= minSlots) throw error;
      }
    }
  } finally {
    await model.close();
  }
}

/**
 * Rejects a vocabulary with ids beyond the model's embedding. Any text with such an id would fail
 * later.
 */
function assertVocabularyFits({ banned: { length: ids } }: TokenTable, model: Model): void {
  const { vocabulary } = model.dimensions;
  if (ids <= vocabulary) return;
  throw new InferenceError(
    "invalid_vocabulary",
    `Cannot run ${model.name} with this vocabulary: it has ids up to ${
      ids - 1
    }, but the model has ` +
      `only ${vocabulary}; use the vocabulary that the model was trained with`,
    { param: "vocab" },
  );
}

/**
 * Tunes `engine` once it is idle and caches the result. A failure is logged and does not affect the
 * engine.
 */
async function tuneInBackground(
  engine: GpuEngine,
  { cache, gpu, onNotice, idleMs }: {
    cache: TuningCache;
    gpu: GPU | undefined;
    onNotice: OnNotice;
    idleMs: number | undefined;
  },
): Promise<void> {
  try {
    const tuning = await tuneWhenIdle(engine, {
      openDevice: () => openDevice(gpu),
      sizes: cache.sizes,
      sleep,
      idleMs,
    });
    if (!tuning) return;
    onNotice("info", `Tuned kernels for ${engine.info.adapter}`);
    if (await cache.writable()) await cache.write(tuning);
  } catch (error) {
    if (engine.closed) return;
    onNotice("warn", `Cannot tune kernels or cache the result: ${(error as Error).message}`);
  }
}

/** Sleeps without keeping the process alive. */
function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, milliseconds)));
}

/** Opens an engine in this thread or in a Web Worker. */
export type OpenEngine = (
  options: EngineOptions,
  workerOptions?: OpenWorkerOptions,
) => Promise<SamplingEngine>;

/** Opens an engine like `openEngine`, but in a Web Worker. */
export const openEngineWorker: OpenEngine = (options, workerOptions) => {
  const url = new URL("./engine_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module", name: "engine" });
  return WorkerEngine.open(worker, options, workerOptions);
};

/** Returns the bytes of available system memory, or `undefined` without the permission to ask. */
function availableMemory(): number | undefined {
  try {
    return Math.max(0, process.availableMemory() - HOST_OVERHEAD_BYTES);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

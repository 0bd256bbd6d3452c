/** Puts an engine together from what a command line or the environment says. */

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

/** Sizes of a worker's engine: conversations that are answered at once, tokens of a step over all. */
export const DEFAULT_ENGINE_SIZES = { slots: 32, leastSlots: 4, maxStepTokens: 256 };

/** Everything that an engine is made of; plain data, so that a Worker can be told. */
export interface EngineOptions {
  source: ModelSource;
  device: DeviceChoice;
  quant: Quant | undefined;
  slots: number;
  /** Slots to make do with where there is no memory for more; `slots` unless told. */
  leastSlots?: number | undefined;
  maxStepTokens: number;
  /** What the ids are, for sampling. */
  tokens?: TokenTable | undefined;
  /** The id that ends a reply, where there is one. */
  endOfText?: number | null | undefined;
  /** Whether to use the tuning cache, and whether to tune while idle if it has nothing; "off" unless given. */
  tuning?: "off" | "cached" | "idle" | undefined;
}

/** The options that flags and a model's files make. */
export function engineOptions(
  flags: Flags,
  { source }: ModelFiles,
  size: Pick<EngineOptions, "slots" | "leastSlots" | "maxStepTokens">,
): EngineOptions {
  return { ...engineFlags(flags), source, ...size };
}

export interface OpenEngineOptions {
  onProgress?: OnProgress | undefined;
  onNotice?: OnNotice | undefined;
  /** The platform's unless given. */
  gpu?: GPU | undefined;
  /** Milliseconds without a call after which the engine is tuned; 5 s unless given. */
  idleMs?: number | undefined;
  /** Of the tuning cache; `data/tuning` unless given. */
  tuningFolder?: string | undefined;
}

/**
 * Opens the model and an engine for it.
 *
 * @throws InferenceError `no_adapter` if `webgpu` is requested and there is none.
 */
export async function openEngine(
  options: EngineOptions,
  { onProgress, onNotice = () => {}, gpu = platformGpu(options.device), idleMs, tuningFolder }:
    OpenEngineOptions = {},
): Promise<SamplingEngine> {
  const times: { -readonly [part in keyof LoadTimes]: number } = {};
  const timed = async <T>(part: keyof LoadTimes, work: Promise<T>): Promise<T> => {
    const start = performance.now();
    const value = await work;
    times[part] = performance.now() - start;
    return value;
  };
  const { model, quant } = await timed("model", openModelSource(options.source, options.quant));
  const ignored = unusedTensorsNotice(model);
  if (ignored !== null) onNotice("warn", ignored);
  const { device, maxStepTokens, tokens, tuning = "off", leastSlots = options.slots } = options;
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
      // A software adapter's memory is this machine's; a GPU says itself what it has no room for.
      const available = open === null || open.software ? availableMemory() : undefined;
      const sizes = {
        quant,
        slots,
        maxStepTokens,
        availableBytes: available,
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
    for (let { slots } = options;; slots = Math.max(leastSlots, Math.floor(slots / 2))) {
      try {
        return await create(slots);
      } catch (error) {
        const full = error instanceof InferenceError && error.code === "insufficient_memory";
        if (!full || slots <= leastSlots) throw error;
      }
    }
  } finally {
    await model.close();
  }
}

/** A text with an id that the model has no row for would fail, whenever somebody sends it. */
function assertVocabularyFits({ banned: { length: ids } }: TokenTable, model: Model): void {
  const { vocabulary } = model.dimensions;
  if (ids <= vocabulary) return;
  throw new InferenceError(
    "invalid_vocabulary",
    `Cannot run ${model.name} with this vocabulary: it has ids up to ${
      ids - 1
    }, and the model has ` +
      `${vocabulary} of them; use the vocabulary that the model was trained with`,
    { param: "vocab" },
  );
}

/** Tunes `engine` once it is idle and caches the result. A failure is logged and leaves it as it is. */
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
    onNotice("info", `Kernels are tuned for ${engine.info.adapter}`);
    if (await cache.writable()) await cache.write(tuning);
  } catch (error) {
    if (engine.closed) return;
    onNotice("warn", `Cannot tune kernels or cache the result: ${(error as Error).message}`);
  }
}

/** Does not keep the process alive. */
function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, milliseconds)));
}

/** Opens an engine somewhere. */
export type OpenEngine = (
  options: EngineOptions,
  told?: OpenWorkerOptions,
) => Promise<SamplingEngine>;

/** As `openEngine`, in a Worker of its own. */
export const openEngineWorker: OpenEngine = (options, told) => {
  const url = new URL("./engine_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module", name: "engine" });
  return WorkerEngine.open(worker, options, told);
};

/** Bytes that this machine can still give, where it may be asked. */
function availableMemory(): number | undefined {
  try {
    return Math.max(0, process.availableMemory() - HOST_OVERHEAD_BYTES);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

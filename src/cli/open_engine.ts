/** Puts an engine together from what a command line or the environment says. */

import process from "node:process";
import { InferenceError } from "../core/errors.ts";
import type { TokenTable } from "../core/sampling.ts";
import { CpuEngine } from "../engine/cpu_engine.ts";
import type { EngineInfo, LoadTimes, OnProgress, Quant, SamplingEngine } from "../engine/engine.ts";
import { HOST_OVERHEAD_BYTES } from "../engine/fits.ts";
import { GpuEngine } from "../engine/gpu_engine.ts";
import { type OpenWorkerOptions, WorkerEngine } from "../engine/worker_host.ts";
import { createConstrain } from "../grammar/constrain.ts";
import { type OpenDevice, openDevice } from "../gpu/mod.ts";
import { type Model, modelOf, openModel } from "../model/load.ts";
import { randomCheckpoint } from "../model/random_checkpoint.ts";
import { CpuSampling } from "../scheduler/cpu_sampling.ts";
import { type DeviceChoice, engineFlags, type Flags, text } from "./command.ts";
import { openFile } from "./file_source.ts";
import type { ModelFiles, ModelSource } from "./model_folder.ts";
import { keptTuning } from "./tuning_file.ts";

/** Sizes of a worker's engine: conversations that are answered at once, tokens of a step over all. */
export const SERVED = { slots: 32, leastSlots: 4, maxStepTokens: 256 };

/** How matrices are held where neither flag nor file says. */
const DEFAULT_QUANT: Quant = "f16";

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
  /** Whether kernels are tuned for this adapter first, if that has not been done before. */
  tune?: boolean | undefined;
}

/** The options that flags and a model's files make. */
export function engineOptions(
  flags: Flags,
  { source }: ModelFiles,
  size: Pick<EngineOptions, "slots" | "leastSlots" | "maxStepTokens">,
): EngineOptions {
  return { ...engineFlags(flags), source, ...size };
}

/** Opens a model, and tells how its matrices are to be held. */
export async function openSource(
  { from, ...options }: ModelSource,
  wanted: Quant | undefined,
): Promise<{ model: Model; quant: Quant }> {
  const quant = wanted ?? DEFAULT_QUANT;
  if ("shape" in from) {
    return { model: await modelOf(await randomCheckpoint(from.shape, quant), options), quant };
  }
  const model = await openModel(await openFile(from.file), options);
  return { model, quant: wanted ?? model.converted?.quant ?? DEFAULT_QUANT };
}

/**
 * The adapter of `gpu`, the platform's unless given, that `device` asks for; null is the CPU.
 *
 * @throws InferenceError `no_adapter` where `webgpu` is asked for and there is none.
 */
export async function chooseDevice(
  device: DeviceChoice,
  gpu?: GPU,
): Promise<OpenDevice | null> {
  const open = device === "cpu" ? null : await openAdapter(gpu);
  if (open === null && device === "webgpu") {
    throw new InferenceError(
      "no_adapter",
      "Cannot use WebGPU: there is no adapter; install a Vulkan driver for your GPU (Debian's " +
        "mesa-vulkan-drivers and libvulkan1 give a software one), or use --device cpu",
      { param: "device" },
    );
  }
  return open;
}

/**
 * Opens the model and an engine for it, on the platform's `GPU` unless another one is given.
 *
 * @throws InferenceError `no_adapter` where `webgpu` is asked for and there is none.
 */
export async function openEngine(
  options: EngineOptions,
  onProgress?: OnProgress,
  gpu?: GPU,
): Promise<SamplingEngine> {
  const times: { -readonly [part in keyof LoadTimes]: number } = {};
  const timed = async <T>(part: keyof LoadTimes, work: Promise<T>): Promise<T> => {
    const start = performance.now();
    const value = await work;
    times[part] = performance.now() - start;
    return value;
  };
  const { model, quant } = await timed("model", openSource(options.source, options.quant));
  const { device, maxStepTokens, tokens, tune, leastSlots = options.slots } = options;
  const constrain = tokens && createConstrain(tokens, { endToken: options.endOfText ?? null });
  try {
    const open = await timed("device", chooseDevice(device, gpu));
    const tuning = open && tune
      ? await timed("tuning", keptTuning(open, model, { quant, maxStepTokens }))
      : null;
    const create = async (slots: number): Promise<SamplingEngine> => {
      // A software adapter's memory is this machine's; a GPU says itself what it has no room for.
      const available = open === null || open.software ? availableMemory() : undefined;
      const sizes = { quant, slots, maxStepTokens, available, opening: times, onProgress };
      if (!open) {
        return new CpuSampling(await CpuEngine.create(model, sizes), tokens, { constrain });
      }
      const engine = await GpuEngine.create(open, model, {
        ...sizes,
        tokens,
        tuned: tuning?.choices,
        maxStepTokens: Math.max(slots, Math.min(maxStepTokens, tuning?.stepTokens ?? Infinity)),
      });
      return tokens ? new CpuSampling(engine, tokens, { device: engine, constrain }) : engine;
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

/** What to tell a person once, where the CPU stands in for an adapter; else null. */
export function cpuNotice({ device }: EngineInfo, flags: Flags): string | null {
  if (device !== "cpu" || text(flags, "device") === "cpu") return null;
  return "There is no WebGPU adapter: running on the CPU engine, which is slow. Install a Vulkan " +
    "driver (Debian's mesa-vulkan-drivers and libvulkan1 give a software one)";
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

/** Mesa complains on stderr at every adapter request unless told where run-time files may go. */
function openAdapter(gpu?: GPU): Promise<OpenDevice | null> {
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  return openDevice(gpu ?? navigator.gpu);
}

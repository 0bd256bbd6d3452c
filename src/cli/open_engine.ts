/** Puts an engine together from what a command line or the environment says. */

import { InferenceError } from "../core/errors.ts";
import { CpuEngine } from "../engine/cpu_engine.ts";
import type { Engine, EngineInfo, Quant } from "../engine/engine.ts";
import { WorkerEngine } from "../engine/worker_host.ts";
import { GpuEngine } from "../engine/gpu_engine.ts";
import { type OpenDevice, openDevice } from "../gpu/mod.ts";
import { openModel } from "../model/load.ts";
import { type DeviceChoice, engineFlags, type Flags, text } from "./command.ts";
import { openFile } from "./file_source.ts";
import type { ModelFiles } from "./model_files.ts";

/** Everything that an engine is made of; plain data, so that a Worker can be told. */
export interface EngineOptions {
  /** Path of a `.pth` or `.safetensors` file. */
  file: string;
  groupNormEps?: number | undefined;
  device: DeviceChoice;
  quant: Quant;
  slots: number;
  maxStepTokens: number;
}

/** The options that flags and a model's files make. */
export function engineOptions(
  flags: Flags,
  { file, groupNormEps }: ModelFiles,
  size: { slots: number; maxStepTokens: number },
): EngineOptions {
  return { ...engineFlags(flags), file, groupNormEps, ...size };
}

/**
 * Opens the model and an engine for it.
 *
 * @throws InferenceError `no_adapter` where `webgpu` is asked for and there is none.
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { file, groupNormEps, device, quant, slots, maxStepTokens } = options;
  const model = await openModel(await openFile(file), { groupNormEps });
  try {
    const open = device === "cpu" ? null : await openAdapter();
    if (open) return await GpuEngine.create(open, model, { quant, slots, maxStepTokens });
    if (device === "webgpu") {
      throw new InferenceError(
        "no_adapter",
        "Cannot use WebGPU: there is no adapter; install a Vulkan driver for your GPU (Debian's " +
          "mesa-vulkan-drivers and libvulkan1 give a software one), or use --device cpu",
        { param: "device" },
      );
    }
    return await CpuEngine.create(model, { quant, slots, maxStepTokens });
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

/** As `openEngine`, in a Worker of its own. */
export function openEngineWorker(options: EngineOptions): Promise<Engine> {
  const url = new URL("./engine_worker.ts", import.meta.url);
  return WorkerEngine.open(new Worker(url, { type: "module", name: "engine" }), options);
}

/** Mesa complains on stderr at every adapter request unless told where run-time files may go. */
function openAdapter(): Promise<OpenDevice | null> {
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  return openDevice(navigator.gpu);
}

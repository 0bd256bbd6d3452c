/** Puts a model on a device: buffers, weights, kernels, and what there is to tell of them. */

import { InferenceError } from "../../core/errors.ts";
import {
  DeviceBuffers,
  type MemoryBytes,
  type OpenDevice,
  Pipelines,
  totalBytes,
} from "../../gpu/mod.ts";
import { weightTypes } from "../../model/held_types.ts";
import type { Model } from "../../model/load.ts";
import type { DeviceSelection, EngineInfo, LoadTimes, OnProgress } from "../engine.ts";
import { assertFitsInMemory } from "../memory_check.ts";
import {
  type BufferOptions,
  createBuffers,
  type EngineBuffers,
  measureBuffers,
} from "./buffers.ts";
import { GpuPlan } from "./plan.ts";
import { GpuSampling } from "./sampling.ts";
import { uploadWeights } from "./weights.ts";
import type { LinearChoice } from "./linear_choice.ts";

/** How a model is held on a device. */
export interface GpuEngineOptions extends BufferOptions {
  /** Bytes that the device is known to have free, if that is known. */
  availableBytes?: number | undefined;
  /** What tuning has found on this device; else fixed choices. */
  tuned?: readonly LinearChoice[] | undefined;
  /** What has gone before, for `info.loading`. */
  earlierLoadTimes?: LoadTimes | undefined;
  /** For `info.selection`. */
  selection?: DeviceSelection | undefined;
  /** Told while weights are uploaded. */
  onProgress?: OnProgress | undefined;
}

/** What an engine consists of. */
export interface EngineParts {
  info: EngineInfo;
  buffers: EngineBuffers;
  plan: GpuPlan;
  sampling: GpuSampling;
}

/** Throws as `GpuEngine.create` does. */
export async function createParts(
  { device, adapter, software }: OpenDevice,
  model: Model,
  {
    availableBytes: available,
    tuned,
    earlierLoadTimes: opening,
    selection,
    onProgress,
    ...options
  }: GpuEngineOptions,
): Promise<EngineParts> {
  const { dimensions } = model;
  const { headSize } = dimensions;
  if (headSize > device.limits.maxComputeInvocationsPerWorkgroup) {
    throw new InferenceError(
      "invalid_checkpoint",
      `Cannot run ${model.name} on ${adapter}: its head size ${headSize} is above the ` +
        `${device.limits.maxComputeInvocationsPerWorkgroup} threads of a workgroup; use --device cpu`,
    );
  }
  weightTypes(model, options.quant);
  const measure = (quant: BufferOptions["quant"]): MemoryBytes =>
    measureBuffers(device.limits, model, { ...options, quant });
  const fits = { model, quant: options.quant, deviceName: adapter, measureMemory: measure };
  if (available !== undefined) assertFitsInMemory({ ...fits, availableBytes: available });
  device.pushErrorScope("validation");
  const made = new DeviceBuffers(device);
  const buffers = createBuffers(made, model, options);
  const given = await made.bytesBeforeOutOfMemory();
  if (given !== null) {
    made.destroy();
    await device.popErrorScope();
    assertFitsInMemory({ ...fits, availableBytes: Math.min(given, totalBytes(made.bytes) - 1) });
  }
  // Where the one waits, the other goes on.
  const start = performance.now();
  const taken = () => performance.now() - start;
  const filled = uploadWeights(device, model, { buffers, onProgress }).then(taken);
  filled.catch(() => {}); // told below
  const pipelines = new Pipelines(device);
  const plan = await GpuPlan.build({ device, software, pipelines, tuned }, model, buffers);
  const { quant, slots, maxStepTokens, tokenTable: tokens } = options;
  const sampling = await GpuSampling.build({ device, software }, pipelines, {
    buffers,
    sizes: { slots, vocabulary: dimensions.vocabulary, tokenTable: tokens },
  });
  const kernels = taken();
  const loading = { ...opening, weights: await filled, kernels };
  const error = await device.popErrorScope();
  if (error) {
    throw new InferenceError(
      "device_lost",
      `Cannot put ${model.name} on ${adapter}: ${error.message}`,
      { fault: "refused" },
    );
  }
  const info: EngineInfo = {
    device: "webgpu",
    adapter,
    software,
    quant,
    dimensions,
    fingerprint: model.fingerprint,
    slots,
    maxStepTokens,
    memory: made.bytes,
    loading,
    selection,
  };
  return { info, buffers, plan, sampling };
}

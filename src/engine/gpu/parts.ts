/** Loads a model onto a device: buffers, weights, kernels and the engine's info. */

import { InferenceError } from "../../core/errors.ts";
import {
  DeviceBuffers,
  type MemoryBytes,
  type OpenDevice,
  Pipelines,
  totalBytes,
} from "../../gpu/mod.ts";
import { weightTypes } from "../../model/weight_types.ts";
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

/** Options of `GpuEngine.create`. */
export interface GpuEngineOptions extends BufferOptions {
  /** Free memory of the device in bytes, if known. */
  availableBytes?: number | undefined;
  /** Tiles tuned for this device; defaults to fixed choices. */
  tuned?: readonly LinearChoice[] | undefined;
  /** Times of earlier loading phases, included in `info.loading`. */
  earlierLoadTimes?: LoadTimes | undefined;
  /** Reported as `info.selection`. */
  selection?: DeviceSelection | undefined;
  /** Called while weights are uploaded. */
  onProgress?: OnProgress | undefined;
}

/** The parts of a GPU engine. */
export interface EngineParts {
  info: EngineInfo;
  buffers: EngineBuffers;
  plan: GpuPlan;
  sampling: GpuSampling;
}

/** Creates the parts of an engine. Throws like `GpuEngine.create`. */
export async function createParts(
  { device, adapter, software }: OpenDevice,
  model: Model,
  {
    availableBytes,
    tuned,
    earlierLoadTimes,
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
  const measureMemory = (quant: BufferOptions["quant"]): MemoryBytes =>
    measureBuffers(device.limits, model, { ...options, quant });
  const requirement = { model, quant: options.quant, deviceName: adapter, measureMemory };
  if (availableBytes !== undefined) assertFitsInMemory({ ...requirement, availableBytes });
  device.pushErrorScope("validation");
  const deviceBuffers = new DeviceBuffers(device);
  const buffers = createBuffers(deviceBuffers, model, options);
  const allocatable = await deviceBuffers.bytesBeforeOutOfMemory();
  if (allocatable !== null) {
    deviceBuffers.destroy();
    await device.popErrorScope();
    assertFitsInMemory({
      ...requirement,
      availableBytes: Math.min(allocatable, totalBytes(deviceBuffers.bytes) - 1),
    });
  }
  // Weights are uploaded while kernels are built.
  const start = performance.now();
  const elapsed = () => performance.now() - start;
  const uploaded = uploadWeights(device, model, { buffers, onProgress }).then(elapsed);
  uploaded.catch(() => {}); // awaited below
  const pipelines = new Pipelines(device);
  const plan = await GpuPlan.build({ device, software, pipelines, tuned }, model, buffers);
  const { quant, slots, maxStepTokens, tokenTable } = options;
  const sampling = await GpuSampling.build({ device, software }, pipelines, {
    buffers,
    sizes: { slots, vocabulary: dimensions.vocabulary, tokenTable },
  });
  const kernels = elapsed();
  const loading = { ...earlierLoadTimes, weights: await uploaded, kernels };
  const error = await device.popErrorScope();
  if (error) {
    throw new InferenceError(
      "device_lost",
      `Cannot load ${model.name} on ${adapter}: ${error.message}`,
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
    memory: deviceBuffers.bytes,
    loading,
    selection,
  };
  return { info, buffers, plan, sampling };
}

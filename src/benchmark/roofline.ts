/**
 * The two roofs of an adapter that an engine's speed is held against: how fast a kernel that does
 * nothing else reads memory, and multiplies and adds in registers. Both are what WebGPU reaches
 * there, not what a data sheet says.
 */

import type { OpenDevice } from "../gpu/mod.ts";
import source from "./roofline.wgsl" with { type: "text" };

export interface Roofline {
  /** Streaming read, 10^9 bytes per second. */
  read_gb_s: number;
  /** Float32 multiply-adds, each two operations, 10^9 operations per second. */
  fma_gflop_s: number;
}

/** Threads of a workgroup, as in the shader. */
const THREADS = 256;
/** Workgroups: as many as fill a large GPU; on a software adapter, fewer read slower. */
const GROUPS = 1024;
/** Turns of the multiply-add kernel's loop. */
const TURNS = 64;
/** Operations of one thread in one turn: 8 x 4 chains x 4 numbers, to multiply and to add. */
const TURN_OPERATIONS = 8 * 4 * 4 * 2;
/** Bytes to read: more than a GPU's caches hold; a CPU's are smaller, and slower to fill. */
const READ_BYTES = { gpu: 256 * 1024 * 1024, software: 64 * 1024 * 1024 };
/** A measurement is made longer until it takes this, so that what starting one costs is small. */
const MIN_MS = 40;
/** Measurements, of which the fastest counts: a roof is what is reached when nothing disturbs. */
const TRIES = 5;

/** Measures the adapter behind a device, and closes the device. */
export async function measureRoofline({ device, software }: OpenDevice): Promise<Roofline> {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const block = THREADS * 4 * 16;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const wanted = Math.min(software ? READ_BYTES.software : READ_BYTES.gpu, limit);
  const bytes = Math.floor(wanted / block) * block;
  const { STORAGE } = GPUBufferUsage;
  const words = device.createBuffer({ label: "roof words", size: bytes, usage: STORAGE });
  const results = device.createBuffer({
    label: "roof results",
    size: GROUPS * THREADS * 4,
    usage: STORAGE,
  });
  const module = device.createShaderModule({ label: "roofs", code: source });
  const seconds = async (entryPoint: string, constants: Record<string, number>) => {
    const pipeline = await device.createComputePipelineAsync({
      label: entryPoint,
      layout: "auto",
      compute: { module, entryPoint, constants },
    });
    const group = device.createBindGroup({
      label: entryPoint,
      layout: pipeline.getBindGroupLayout(0),
      entries: [words, results].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    return await secondsOf(device, pipeline, group);
  };
  try {
    return {
      read_gb_s: bytes / await seconds("read_all", {}) / 1e9,
      fma_gflop_s: GROUPS * THREADS * TURNS * TURN_OPERATIONS /
        await seconds("multiply_add", { TURNS }) / 1e9,
    };
  } finally {
    device.destroy();
  }
}

/** Seconds of one dispatch among many. */
async function secondsOf(
  device: GPUDevice,
  pipeline: GPUComputePipeline,
  group: GPUBindGroup,
): Promise<number> {
  const time = async (dispatches: number) => {
    const start = performance.now();
    const encoder = device.createCommandEncoder({ label: "roof" });
    const pass = encoder.beginComputePass({ label: "roof" });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(GROUPS);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  await time(1);
  let dispatches = 1;
  while (await time(dispatches) < MIN_MS) dispatches *= 2;
  let best = Infinity;
  for (let i = 0; i < TRIES; i++) best = Math.min(best, await time(dispatches));
  return best / 1000 / dispatches;
}

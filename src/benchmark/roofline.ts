/**
 * The roofline of an adapter: how fast a kernel can stream memory, and how fast it can multiply and
 * add in registers. Both are measured through WebGPU rather than taken from a data sheet.
 */

import type { OpenDevice } from "../gpu/mod.ts";
import source from "./roofline.wgsl" with { type: "text" };

export interface Roofline {
  /** Streaming read rate in 10^9 bytes per second. */
  read_gb_s: number;
  /** Float32 multiply-add rate in 10^9 operations per second. A multiply-add counts as two. */
  fma_gflop_s: number;
}

/** Threads per workgroup. Must match the shader. */
const THREADS = 256;
/**
 * Workgroups per dispatch: enough to fill a large GPU. Software adapters read slower with fewer.
 */
const GROUPS = 1024;
/** Iterations of the loop in the multiply-add kernel. */
const ITERATIONS = 64;
/**
 * Operations per thread and iteration: 8 x 4 chains x 4 numbers, one multiplication and one
 * addition each.
 */
const ITERATION_OPERATIONS = 8 * 4 * 4 * 2;
/**
 * Bytes to read. Exceeds the caches of GPUs. CPU caches are smaller, and filling memory is slower
 * there.
 */
const READ_BYTES = { gpu: 256 * 1024 * 1024, software: 64 * 1024 * 1024 };
/** Minimum duration of a measurement. Makes the launch overhead negligible. */
const MIN_MS = 40;
/** Number of measurements. The fastest one counts, because the roofline is an upper bound. */
const REPETITIONS = 5;

/** Measures the adapter of an open device, then destroys the device. */
export async function measureRoofline({ device, software }: OpenDevice): Promise<Roofline> {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const block = THREADS * 4 * 16;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const targetBytes = Math.min(software ? READ_BYTES.software : READ_BYTES.gpu, limit);
  const bytes = Math.floor(targetBytes / block) * block;
  const { STORAGE } = GPUBufferUsage;
  const words = device.createBuffer({ label: "roofline words", size: bytes, usage: STORAGE });
  const results = device.createBuffer({
    label: "roofline results",
    size: GROUPS * THREADS * 4,
    usage: STORAGE,
  });
  const module = device.createShaderModule({ label: "roofline", code: source });
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
    return await timeDispatch(device, pipeline, group);
  };
  try {
    return {
      read_gb_s: bytes / await seconds("read_all", {}) / 1e9,
      fma_gflop_s: GROUPS * THREADS * ITERATIONS * ITERATION_OPERATIONS /
        await seconds("multiply_add", { ITERATIONS }) / 1e9,
    };
  } finally {
    device.destroy();
  }
}

/** Returns the seconds per dispatch, averaged over many dispatches. */
async function timeDispatch(
  device: GPUDevice,
  pipeline: GPUComputePipeline,
  group: GPUBindGroup,
): Promise<number> {
  const time = async (dispatches: number) => {
    const start = performance.now();
    const encoder = device.createCommandEncoder({ label: "roofline" });
    const pass = encoder.beginComputePass({ label: "roofline" });
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
  for (let i = 0; i < REPETITIONS; i++) best = Math.min(best, await time(dispatches));
  return best / 1000 / dispatches;
}

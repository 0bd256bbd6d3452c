/** Runs one kernel once on plain arrays. */

import type { KernelSpec, StepCounts } from "../../kernels/spec.ts";
import {
  DeviceBuffers,
  encodeDispatches,
  Pipelines,
  readBytes,
  sizeDispatches,
} from "../../src/gpu/mod.ts";
import { testDevice } from "../support/adapter.ts";

export type Arrays = Record<string, ArrayBufferView<ArrayBuffer>>;

/** Shared by the tests of a file, so that each kernel is compiled once. */
let pipelines: Pipelines | undefined;

/** Dispatches `spec` over `data` and returns all writable bindings, as float32. */
export async function runKernel<P>(
  spec: KernelSpec<P>,
  data: Arrays,
  { sizes, counts }: { sizes: P; counts: StepCounts },
): Promise<Record<string, Float32Array>> {
  const { device } = await testDevice();
  device.pushErrorScope("validation");
  const bindings = spec.bindings(sizes);
  const buffers: Record<string, { buffer: GPUBuffer }> = {};
  for (const [name, access] of Object.entries(bindings)) {
    const array = data[name];
    const buffer = device.createBuffer({
      label: name,
      size: Math.max(16, Math.ceil(array.byteLength / 16) * 16),
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST |
        (access === "uniform" ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE),
    });
    device.queue.writeBuffer(buffer, 0, array);
    buffers[name] = { buffer };
  }
  pipelines ??= new Pipelines(device);
  const dispatch = await pipelines.prepare(spec, sizes, buffers);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  encodeDispatches(pass, sizeDispatches([dispatch], counts));
  pass.end();
  const staged: [string, GPUBuffer, number][] = [];
  for (const [name, access] of Object.entries(bindings)) {
    if (access !== "readWrite") continue;
    const { byteLength } = data[name];
    const staging = new DeviceBuffers(device).staging("work", name, byteLength);
    encoder.copyBufferToBuffer(buffers[name].buffer, 0, staging, 0, Math.ceil(byteLength / 4) * 4);
    staged.push([name, staging, byteLength]);
  }
  device.queue.submit([encoder.finish()]);
  // Concurrently, because the platform sleeps in each read.
  const results = Object.fromEntries(
    await Promise.all(staged.map(async ([name, staging, bytes]) => {
      const values = new Float32Array(await readBytes(staging, bytes));
      staging.destroy();
      return [name, values] as const;
    })),
  );
  for (const { buffer } of Object.values(buffers)) buffer.destroy();
  const error = await device.popErrorScope();
  if (error) throw new Error(`${spec.name}: ${error.message}`);
  return results;
}

/** Returns the contents of the `runs` binding. */
export function runRows(runs: readonly { slot: number; first: number; count: number }[]) {
  return new Uint32Array(runs.flatMap(({ slot, first, count }) => [slot, first, count, 0]));
}

/** Returns the contents of the `rows` binding; ids default to 0. */
export function tokenRows(
  runs: readonly { slot: number; first: number; count: number }[],
  ids: readonly number[] = [],
) {
  const rows: number[] = [];
  for (const { slot, first, count } of runs) {
    for (let i = 0; i < count; i++) {
      rows.push(ids[first + i] ?? 0, slot, i === 0 ? 1 : 0, i === count - 1 ? 1 : 0);
    }
  }
  return new Uint32Array(rows);
}

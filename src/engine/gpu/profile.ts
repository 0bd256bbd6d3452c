/** Where the time of a step goes. */

import { DispatchTimer, encodeDispatches, type SizedDispatch } from "../../gpu/mod.ts";
import type { DeviceQueue } from "../../gpu/mod.ts";

/** Uses of a kernel with the same sizes, over one step. */
export interface KernelProfile {
  /** The kernel's name. */
  kernel: string;
  /** Uses in a step. */
  dispatches: number;
  /** All of them together, by the device's clock: a number for every round. */
  ms: number[];
  /** Bytes of weights, states and logits that they read and write at least. */
  bytes: number;
}

/** Where the time of a step goes, over several rounds. */
export interface StepProfile {
  /** Of all kernels. */
  dispatches: number;
  /** Milliseconds that the CPU takes to encode a step: a number for every round. */
  encodeMs: number[];
  /** In the order of their first dispatch. */
  kernels: KernelProfile[];
}

/** Steps that are encoded to time one. */
const ENCODED = 16;

/** Times a step's dispatches, each on its own, in `rounds` steps. */
export async function profileDispatches(
  device: GPUDevice,
  queue: DeviceQueue,
  { dispatches, rounds }: { dispatches: readonly SizedDispatch[]; rounds: number },
): Promise<StepProfile> {
  const encoding: number[] = [];
  const times: number[][] = [];
  const clock = new DispatchTimer(device, queue, dispatches);
  try {
    await clock.run();
    for (let round = 0; round < rounds; round++) {
      encoding.push(encodeMs(device, dispatches));
      times.push(await clock.run());
    }
  } finally {
    clock.close();
  }
  const kernels = new Map<string, KernelProfile>();
  for (const [i, { label, bytes }] of dispatches.entries()) {
    const sum = kernels.get(label) ??
      { kernel: label, dispatches: 0, ms: times.map(() => 0), bytes: 0 };
    sum.dispatches++;
    sum.ms = times.map((round, r) => sum.ms[r] + round[i]);
    sum.bytes += bytes;
    kernels.set(label, sum);
  }
  return {
    dispatches: dispatches.length,
    encodeMs: encoding,
    kernels: [...kernels.values()],
  };
}

function encodeMs(device: GPUDevice, dispatches: readonly SizedDispatch[]): number {
  const start = performance.now();
  const encoder = device.createCommandEncoder({ label: "profile" });
  const pass = encoder.beginComputePass({ label: "profile" });
  for (let step = 0; step < ENCODED; step++) encodeDispatches(pass, dispatches);
  pass.end();
  encoder.finish();
  return (performance.now() - start) / ENCODED;
}

/** Profiles the dispatches of a step. */

import { DispatchTimer, encodeDispatches, type SizedDispatch } from "../../gpu/mod.ts";
import type { DeviceQueue } from "../../gpu/mod.ts";

/** All dispatches of a kernel with the same sizes in one step. */
export interface KernelProfile {
  /** The kernel's name. */
  kernel: string;
  /** Dispatches per step. */
  dispatches: number;
  /** Total milliseconds of these dispatches by device timestamps, for each round. */
  ms: number[];
  /** Minimum bytes of weights, states and logits that they read and write. */
  bytes: number;
}

/** Profile of a step over several rounds. */
export interface StepProfile {
  /** Dispatches of all kernels. */
  dispatches: number;
  /** Milliseconds of CPU time to encode a step, for each round. */
  encodeMs: number[];
  /** Kernels in order of their first dispatch. */
  kernels: KernelProfile[];
}

/** Steps encoded per measurement of the encoding time. */
const ENCODED = 16;

/** Measures each dispatch of a step separately, over `rounds` rounds. */
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

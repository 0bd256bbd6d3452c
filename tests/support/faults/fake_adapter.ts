/** Adapters that say of themselves what a test wants. */

import { overrideMethods } from "./faulty_gpu.ts";

export interface FakeAdapter {
  /** Name, as a driver gives it. */
  description: string;
  /** Whether the platform says that it is a software renderer. */
  isFallbackAdapter?: boolean;
  /** Limits in place of its own. */
  limits?: Partial<Record<keyof GPUSupportedLimits, number>>;
  /** Why it opens no device. */
  refuses?: string;
}

/** A `GPU` with one adapter that opens no device, but is described as `fake` says; null has none. */
export function gpuWithAdapterInfo(fake: FakeAdapter | null): GPU {
  const requestAdapter = () => Promise.resolve(fake && adapter({ ...fake, refuses: "a fake" }));
  return { requestAdapter } as unknown as GPU;
}

/** A `GPU` whose adapter is that of `gpu`, described as `fake` says. */
export function gpuWithFakeAdapter(gpu: GPU, fake: FakeAdapter): GPU {
  return overrideMethods(gpu, {
    requestAdapter: async (options?: GPURequestAdapterOptions) => {
      const real = await gpu.requestAdapter(options);
      return real && overrideMethods(real, adapter(fake, real));
    },
  });
}

const LIMITS = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16384,
};

function adapter(
  { description, isFallbackAdapter = false, limits, refuses }: FakeAdapter,
  real?: GPUAdapter,
): GPUAdapter {
  return {
    info: { description, isFallbackAdapter },
    features: real?.features ?? new Set(),
    limits: real && !limits ? real.limits : { ...LIMITS, ...limits },
    requestDevice: (descriptor?: GPUDeviceDescriptor) =>
      real && refuses === undefined
        ? real.requestDevice(descriptor)
        : Promise.reject(new Error(refuses)),
  } as unknown as GPUAdapter;
}

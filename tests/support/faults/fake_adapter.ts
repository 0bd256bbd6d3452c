/** Adapters that report the properties set by a test. */

import { overrideMethods } from "./faulty_gpu.ts";

export interface FakeAdapter {
  /** Name reported by the driver. */
  description: string;
  /** Whether the platform reports a software renderer. */
  isFallbackAdapter?: boolean;
  /** Limits that replace the adapter's own. */
  limits?: Partial<Record<keyof GPUSupportedLimits, number>>;
  /** Error message of `requestDevice`, which then always fails. */
  deviceError?: string;
}

/** Returns a `GPU` with one adapter described by `fake` that opens no device; none for null. */
export function gpuWithAdapterInfo(fake: FakeAdapter | null): GPU {
  const requestAdapter = () => Promise.resolve(fake && adapter({ ...fake, deviceError: "a fake" }));
  return { requestAdapter } as unknown as GPU;
}

/** Returns a `GPU` with the adapter of `gpu`, but described by `fake`. */
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
  { description, isFallbackAdapter = false, limits, deviceError }: FakeAdapter,
  real?: GPUAdapter,
): GPUAdapter {
  return {
    info: { description, isFallbackAdapter },
    features: real?.features ?? new Set(),
    limits: real && !limits ? real.limits : { ...LIMITS, ...limits },
    requestDevice: (descriptor?: GPUDeviceDescriptor) =>
      real && deviceError === undefined
        ? real.requestDevice(descriptor)
        : Promise.reject(new Error(deviceError)),
  } as unknown as GPUAdapter;
}

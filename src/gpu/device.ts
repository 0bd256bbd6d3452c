/** Finds an adapter and opens a device on it, with the adapter's own limits. */

import { InferenceError } from "../core/errors.ts";

/** An open device, and what is known of the adapter behind it. */
export interface OpenDevice {
  /** With the limits of its adapter, and a clock where there is one. */
  device: GPUDevice;
  /** Name as the driver gives it. */
  adapter: string;
  /** True for a software renderer. */
  software: boolean;
}

const WANTED_LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Asked for where they exist: kernels are timed by the device's clock. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query"];

/** Dawn's devices crash once nothing refers to the `GPU` that they come from: kept as long as they. */
const origins = new WeakMap<GPUDevice, GPU>();

/** Name of an adapter for people. */
function adapterName({ info }: GPUAdapter): string {
  return info.description || info.device || info.vendor || "unnamed adapter";
}

/**
 * Opens a device on the platform's preferred adapter, or returns null where there is none.
 *
 * @throws InferenceError `device_lost` if the adapter refuses a device.
 */
export async function openDevice(gpu: GPU | undefined): Promise<OpenDevice | null> {
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!gpu || !adapter) return null;
  const requiredLimits = Object.fromEntries(
    WANTED_LIMITS.map((name) => [name, adapter.limits[name]]),
  );
  try {
    const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ label: "rwkv", requiredLimits, requiredFeatures });
    origins.set(device, gpu);
    return {
      device,
      adapter: adapterName(adapter),
      software: adapter.info.isFallbackAdapter ?? false,
    };
  } catch (cause) {
    throw new InferenceError(
      "device_lost",
      `Cannot open a device on ${adapterName(adapter)}: ${(cause as Error).message}`,
      { cause, fault: "device_lost" },
    );
  }
}

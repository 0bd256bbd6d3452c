/** Finds an adapter and opens a device on it, with the adapter's own limits. */

import { InferenceError } from "../core/errors.ts";

/** An adapter, and what is known of it before a device is opened. */
export interface FoundAdapter {
  adapter: GPUAdapter;
  /** Name as the driver gives it. */
  name: string;
  /** True for a software renderer. */
  software: boolean;
  /** Each limit that is below what the kernels need, such as "maxStorageBuffersPerShaderStage 4 of 8". */
  insufficientLimits: string[];
}

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

/**
 * Limits that the kernels rely on: WebGPU's defaults, which every conforming adapter has. Adapters
 * behind OpenGL may be below them.
 */
export const REQUIRED_LIMITS = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16384,
} as const;

/**
 * Names of software renderers, for platforms that do not set `isFallbackAdapter`: Mesa's llvmpipe,
 * lavapipe, softpipe and swrast, Google's SwiftShader, Microsoft's WARP, Apple's renderer.
 */
const SOFTWARE_RENDERER =
  /llvmpipe|lavapipe|softpipe|swrast|swiftshader|microsoft basic render|\bwarp\b|software render/i;

/** Asked for where they exist: kernels are timed by the device's clock. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query"];

/** Dawn's devices crash once nothing refers to the `GPU` that they come from: kept as long as they. */
const origins = new WeakMap<GPUDevice, GPU>();

/** Name of an adapter for people. */
function adapterName({ info }: GPUAdapter): string {
  return info.description || info.device || info.vendor || "unnamed adapter";
}

/** The platform's preferred adapter, or null where there is none: hardware goes before software. */
export async function findAdapter(gpu: GPU | undefined): Promise<FoundAdapter | null> {
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  const name = adapterName(adapter);
  const limits = Object.entries(REQUIRED_LIMITS) as [keyof typeof REQUIRED_LIMITS, number][];
  return {
    adapter,
    name,
    software: (adapter.info.isFallbackAdapter ?? false) || SOFTWARE_RENDERER.test(name),
    insufficientLimits: limits
      .filter(([limit, needed]) => adapter.limits[limit] < needed)
      .map(([limit, needed]) => `${limit} ${adapter.limits[limit]} of ${needed}`),
  };
}

/**
 * Opens a device on an adapter of `gpu`. An adapter opens one device at most.
 *
 * @throws InferenceError `no_adapter` if the adapter's limits are too low for the kernels;
 * `device_lost` if it refuses a device.
 */
export async function openAdapter(
  gpu: GPU,
  { adapter, name, software, insufficientLimits: lacking }: FoundAdapter,
): Promise<OpenDevice> {
  if (lacking.length > 0) {
    throw new InferenceError(
      "no_adapter",
      `Cannot use ${name}: its limits are too low (${lacking.join(", ")}); update its driver`,
    );
  }
  const requiredLimits = Object.fromEntries(
    WANTED_LIMITS.map((name) => [name, adapter.limits[name]]),
  );
  try {
    const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ label: "rwkv", requiredLimits, requiredFeatures });
    origins.set(device, gpu);
    return { device, adapter: name, software };
  } catch (cause) {
    throw new InferenceError(
      "device_lost",
      `Cannot open a device on ${name}: ${(cause as Error).message}`,
      { cause, fault: "device_lost" },
    );
  }
}

/**
 * Opens a device on the platform's preferred adapter, or returns null where there is none.
 *
 * @throws InferenceError as `openAdapter` does.
 */
export async function openDevice(gpu: GPU | undefined): Promise<OpenDevice | null> {
  const found = await findAdapter(gpu);
  return gpu && found ? await openAdapter(gpu, found) : null;
}

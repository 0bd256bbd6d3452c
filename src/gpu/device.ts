/** Finds an adapter and opens a device with the adapter's own limits. */

import { InferenceError } from "../core/errors.ts";

/** An adapter and its properties, before a device is opened. */
export interface FoundAdapter {
  adapter: GPUAdapter;
  /** Name reported by the driver. */
  name: string;
  /** True for a software renderer. */
  software: boolean;
  /** Limits below those the kernels need, such as "maxStorageBuffersPerShaderStage 4 of 8". */
  insufficientLimits: string[];
}

/** An open device and the properties of its adapter. */
export interface OpenDevice {
  /** Opened with its adapter's limits, and with timestamp queries if supported. */
  device: GPUDevice;
  /** Adapter name reported by the driver. */
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
 * Limits that the kernels require. These are WebGPU's defaults, which every conforming adapter
 * supports; adapters on OpenGL may not.
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

/** Features requested where supported: timestamps measure kernel times. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query"];

/** Keeps each device's `GPU` alive: Dawn's devices crash after it is garbage-collected. */
const gpuOfDevice = new WeakMap<GPUDevice, GPU>();

/** Returns a readable name of an adapter. */
function adapterName({ info }: GPUAdapter): string {
  return info.description || info.device || info.vendor || "unnamed adapter";
}

/** Returns the platform's preferred adapter, hardware before software, or null if there is none. */
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
 * Opens a device on an adapter of `gpu`. An adapter can open only one device.
 *
 * @throws InferenceError `no_adapter` if the adapter's limits are too low for the kernels;
 * `device_lost` if the adapter cannot open a device.
 */
export async function openAdapter(
  gpu: GPU,
  { adapter, name, software, insufficientLimits }: FoundAdapter,
): Promise<OpenDevice> {
  if (insufficientLimits.length > 0) {
    throw new InferenceError(
      "no_adapter",
      `Cannot use ${name}: its limits are too low (${
        insufficientLimits.join(", ")
      }); update its driver`,
    );
  }
  const requiredLimits = Object.fromEntries(
    WANTED_LIMITS.map((name) => [name, adapter.limits[name]]),
  );
  try {
    const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ label: "rwkv", requiredLimits, requiredFeatures });
    gpuOfDevice.set(device, gpu);
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
 * Opens a device on the platform's preferred adapter. Returns null if there is no adapter.
 *
 * @throws InferenceError like `openAdapter`.
 */
export async function openDevice(gpu: GPU | undefined): Promise<OpenDevice | null> {
  const found = await findAdapter(gpu);
  return gpu && found ? await openAdapter(gpu, found) : null;
}

/**
 * Device buffers: made through one object, which counts what they take, refused with both numbers in
 * the message when too large, filled and read.
 */

import { InferenceError } from "../core/errors.ts";
import { BUFFER_USAGE, MAP_MODE } from "./flags.ts";

/** Bytes that one `writeBuffer` sends at most: larger calls are slower. */
const UPLOAD_BYTES = 16 * 1024 * 1024;

/** What memory is for: weights, states of all slots, or everything that a step needs. */
export type MemoryUse = "weights" | "states" | "work";

/** Bytes by use. */
export type MemoryBytes = Record<MemoryUse, number>;

/** Sum of all uses. */
export function totalBytes(bytes: MemoryBytes): number {
  return bytes.weights + bytes.states + bytes.work;
}

/** The part of a device that buffers are made of: another one can stand in, to measure only. */
export interface BufferDevice {
  readonly limits: Pick<GPUSupportedLimits, "maxBufferSize" | "maxStorageBufferBindingSize">;
  createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer;
  pushErrorScope(filter: GPUErrorFilter): void;
  popErrorScope(): Promise<GPUError | null>;
}

/** Makes a device's buffers. */
export class DeviceBuffers {
  /** Bytes of all buffers made so far. */
  readonly bytes: MemoryBytes = { weights: 0, states: 0, work: 0 };
  readonly #device: BufferDevice;
  readonly #made: { buffer: GPUBuffer; failure: Promise<GPUError | null> }[] = [];

  constructor(device: BufferDevice) {
    this.#device = device;
  }

  /** Bytes that a storage buffer may have. */
  get maxStorageBytes(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /**
   * A storage buffer of at least `bytes` bytes, zeroed.
   *
   * @throws InferenceError `invalid_value` if the device does not take a buffer of that size.
   */
  storage(use: MemoryUse, label: string, bytes: number): GPUBuffer {
    const limit = this.maxStorageBytes;
    if (padded(bytes) > limit) {
      throw new InferenceError(
        "invalid_value",
        `Cannot make the buffer "${label}": it needs ${padded(bytes)} bytes and the device binds ` +
          `at most ${limit}; ` +
          (use === "weights" ? "use a smaller --quant" : "use fewer slots or a shorter step"),
      );
    }
    return this.#create(use, label, {
      bytes,
      usage: BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST,
    });
  }

  /** A buffer of numbers that are the same for all threads. */
  uniform(label: string, bytes: number): GPUBuffer {
    return this.#create("work", label, {
      bytes,
      usage: BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
    });
  }

  /** A buffer that the CPU can map to read results. */
  staging(use: MemoryUse, label: string, bytes: number): GPUBuffer {
    return this.#create(use, label, {
      bytes,
      usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
    });
  }

  #create(
    use: MemoryUse,
    label: string,
    { bytes, usage }: { bytes: number; usage: number },
  ): GPUBuffer {
    const size = padded(bytes);
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({ label, size, usage });
    this.#made.push({ buffer, failure: this.#device.popErrorScope() });
    this.bytes[use] += size;
    return buffer;
  }

  /** Bytes of the buffers made before the first one that the device had no memory for, if any. */
  async bytesBeforeOutOfMemory(): Promise<number | null> {
    let bytes = 0;
    for (const { buffer, failure } of this.#made) {
      if (await failure) return bytes;
      bytes += buffer.size;
    }
    return null;
  }

  /** Frees all buffers. */
  destroy(): void {
    for (const { buffer } of this.#made) buffer.destroy();
  }
}

function padded(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}

/** Writes to a buffer in pieces; `data` a multiple of 4 bytes long. */
export function upload(
  device: GPUDevice,
  buffer: GPUBuffer,
  data: ArrayBufferView<ArrayBuffer>,
  offset = 0,
): void {
  for (let from = 0; from < data.byteLength; from += UPLOAD_BYTES) {
    const length = Math.min(UPLOAD_BYTES, data.byteLength - from);
    device.queue.writeBuffer(
      buffer,
      offset + from,
      new Uint8Array(data.buffer, data.byteOffset + from, length),
    );
    if (length === UPLOAD_BYTES) device.queue.submit([]);
  }
}

/**
 * A copy of the first bytes of a staging buffer, when all work submitted so far is done.
 *
 * @throws InferenceError `device_lost` if the device is gone.
 */
export async function readBytes(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  try {
    await staging.mapAsync(MAP_MODE.READ, 0, bytes);
  } catch (cause) {
    throw new InferenceError(
      "device_lost",
      `Cannot read from the device: ${(cause as Error).message}`,
      { cause, fault: "device_lost" },
    );
  }
  const copy = staging.getMappedRange(0, bytes).slice(0);
  staging.unmap();
  return copy;
}

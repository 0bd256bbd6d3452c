/**
 * Device buffers. One object creates them, counts their bytes, and rejects an oversized buffer with
 * both sizes in the message.
 */

import { InferenceError } from "../core/errors.ts";
import { BUFFER_USAGE, MAP_MODE } from "./flags.ts";

/** Maximum bytes per `writeBuffer` call; larger calls are slower. */
const UPLOAD_BYTES = 16 * 1024 * 1024;

/** Purpose of device memory: weights, the states of all slots, or working memory of a step. */
export type MemoryUse = "weights" | "states" | "work";

/** Bytes by purpose. */
export type MemoryBytes = Record<MemoryUse, number>;

/** Returns the total over all purposes. */
export function totalBytes(bytes: MemoryBytes): number {
  return bytes.weights + bytes.states + bytes.work;
}

/** The part of a device that creates buffers. A substitute can measure sizes without allocating. */
export interface BufferDevice {
  readonly limits: Pick<GPUSupportedLimits, "maxBufferSize" | "maxStorageBufferBindingSize">;
  createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer;
  pushErrorScope(filter: GPUErrorFilter): void;
  popErrorScope(): Promise<GPUError | null>;
}

/** Creates a device's buffers. */
export class DeviceBuffers {
  /** Bytes of all buffers created so far. */
  readonly bytes: MemoryBytes = { weights: 0, states: 0, work: 0 };
  readonly #device: BufferDevice;
  readonly #buffers: { buffer: GPUBuffer; failure: Promise<GPUError | null> }[] = [];

  constructor(device: BufferDevice) {
    this.#device = device;
  }

  /** Maximum bytes of a storage buffer. */
  get maxStorageBytes(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /**
   * Creates a zeroed storage buffer of at least `bytes` bytes.
   *
   * @throws InferenceError `invalid_value` if the size exceeds the device's limits.
   */
  storage(use: MemoryUse, label: string, bytes: number): GPUBuffer {
    const limit = this.maxStorageBytes;
    if (padded(bytes) > limit) {
      throw new InferenceError(
        "invalid_value",
        `Cannot create the buffer "${label}": it needs ${padded(bytes)} bytes and the device ` +
          `supports at most ${limit}; ` +
          (use === "weights" ? "use a smaller --quant" : "use fewer slots or a shorter step"),
      );
    }
    return this.#create(use, label, {
      bytes,
      usage: BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST,
    });
  }

  /** Creates a uniform buffer. */
  uniform(label: string, bytes: number): GPUBuffer {
    return this.#create("work", label, {
      bytes,
      usage: BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
    });
  }

  /** Creates a buffer that the CPU can map to read results. */
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
    this.#buffers.push({ buffer, failure: this.#device.popErrorScope() });
    this.bytes[use] += size;
    return buffer;
  }

  /**
   * Returns the bytes allocated before the first out-of-memory error, or `null` if none occurred.
   */
  async bytesBeforeOutOfMemory(): Promise<number | null> {
    let bytes = 0;
    for (const { buffer, failure } of this.#buffers) {
      if (await failure) return bytes;
      bytes += buffer.size;
    }
    return null;
  }

  /** Frees all buffers. */
  destroy(): void {
    for (const { buffer } of this.#buffers) buffer.destroy();
  }
}

function padded(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}

/** Writes to a buffer in chunks. The length of `data` is a multiple of 4 bytes. */
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
 * Returns a copy of a staging buffer's first bytes once all work submitted so far has completed.
 *
 * @throws InferenceError `device_lost` if the device is lost.
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

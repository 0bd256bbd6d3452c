/** Device buffers: created with both numbers in the message when too large, filled and read. */

import { InferenceError } from "../core/errors.ts";

/** Bytes that one `writeBuffer` sends at most: larger calls are slower. */
const UPLOAD_BYTES = 16 * 1024 * 1024;

/**
 * Creates a storage buffer of at least `bytes` bytes, zeroed.
 *
 * @throws InferenceError `invalid_value` if the device does not take a buffer of that size.
 */
export function storageBuffer(device: GPUDevice, label: string, bytes: number): GPUBuffer {
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  const size = Math.max(16, Math.ceil(bytes / 16) * 16);
  if (size > limit) {
    throw new InferenceError(
      "invalid_value",
      `Cannot make the buffer "${label}": it needs ${size} bytes and the device binds at most ` +
        `${limit}; use fewer slots or a shorter step`,
    );
  }
  return device.createBuffer({
    label,
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
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

/** A buffer that the CPU can map to read results. */
export function stagingBuffer(device: GPUDevice, label: string, bytes: number): GPUBuffer {
  return device.createBuffer({
    label,
    size: Math.max(16, Math.ceil(bytes / 16) * 16),
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
}

/**
 * A copy of the first `length` floats of a staging buffer, when all work submitted so far is done.
 *
 * @throws InferenceError `device_lost` if the device is gone.
 */
export async function readFloats(staging: GPUBuffer, length: number): Promise<Float32Array> {
  try {
    await staging.mapAsync(GPUMapMode.READ, 0, length * 4);
  } catch (cause) {
    throw new InferenceError(
      "device_lost",
      `Cannot read from the device: ${(cause as Error).message}`,
      { cause },
    );
  }
  const copy = new Float32Array(staging.getMappedRange(0, length * 4).slice(0));
  staging.unmap();
  return copy;
}

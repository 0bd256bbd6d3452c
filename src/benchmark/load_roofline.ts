/**
 * Measures how fast weights get from a model file to the device, and the two rates that bound it:
 * reading the file and uploading bytes. All three work in chunks, with no other load.
 */

import { createBuffers } from "../engine/gpu/buffers.ts";
import { uploadWeights } from "../engine/gpu/weights.ts";
import { DeviceBuffers, type OpenDevice, upload } from "../gpu/mod.ts";
import { openFile } from "../model_files/file_source.ts";
import type { EngineOptions } from "../server/open_engine.ts";
import { openModelSource } from "../model_files/open_model_file.ts";

/** Bytes per chunk, about the size of a matrix in a large model. */
const PIECE_BYTES = 1024 * 1024;
/** Bytes in flight before the upload waits for earlier ones. Matches model loading. */
const IN_FLIGHT_BYTES = 16 * PIECE_BYTES;
/** Size of the upload target: large enough to measure, small enough for every device. */
const UPLOAD_BYTES = 128 * PIECE_BYTES;

/** Returns the bytes per second of reading a whole file, possibly from the system's page cache. */
export async function readRate(path: string): Promise<number> {
  const file = await openFile(path);
  try {
    const start = performance.now();
    for (let at = 0; at < file.size; at += PIECE_BYTES) {
      await file.read(at, Math.min(PIECE_BYTES, file.size - at));
    }
    return file.size / (performance.now() - start) * 1000;
  } finally {
    await file.close();
  }
}

/** Returns the bytes per second of loading weights from the model file to the device. */
export async function loadRate(
  { device }: OpenDevice,
  { source, quant: requestedQuant, slots, maxStepTokens }: EngineOptions,
): Promise<number> {
  const { model, quant } = await openModelSource(source, requestedQuant);
  const made = new DeviceBuffers(device);
  try {
    const buffers = createBuffers(made, model, { quant, slots, maxStepTokens });
    await uploadWeights(device, model, { buffers }); // the first write commits the memory
    const start = performance.now();
    await uploadWeights(device, model, { buffers });
    return made.bytes.weights / (performance.now() - start) * 1000;
  } finally {
    made.destroy();
    await model.close();
  }
}

/** Returns the bytes per second of uploads to the device. */
export async function uploadRate({ device }: OpenDevice): Promise<number> {
  const buffers = new DeviceBuffers(device);
  const bytes = Math.min(UPLOAD_BYTES, buffers.maxStorageBytes);
  const buffer = buffers.storage("weights", "upload", bytes);
  const piece = new Uint8Array(PIECE_BYTES);
  const send = async () => {
    let arrived = Promise.resolve<unknown>(undefined);
    for (let at = 0; at + PIECE_BYTES <= bytes; at += PIECE_BYTES) {
      upload(device, buffer, piece, at);
      if ((at + PIECE_BYTES) % IN_FLIGHT_BYTES > 0) continue;
      await arrived;
      device.queue.submit([]);
      arrived = device.queue.onSubmittedWorkDone();
    }
    await arrived;
    device.queue.submit([]);
    await device.queue.onSubmittedWorkDone();
  };
  try {
    await send(); // the first write commits the memory
    const start = performance.now();
    for (let round = 0; round < 4; round++) await send();
    return 4 * bytes / (performance.now() - start) * 1000;
  } finally {
    buffers.destroy();
  }
}

/** Uploads a model's weights to an engine's buffers, piece by piece. */

import { codeBytes, matrixBytes, ROW_BLOCK, scaleBytes } from "../../../kernels/layouts.ts";
import { upload } from "../../gpu/mod.ts";
import type { Model } from "../../model/load.ts";
import { type PackedPiece, packedPieces } from "../../quant/mod.ts";
import type { OnProgress } from "../engine.ts";
import type { EngineBuffers } from "./buffers.ts";

/**
 * Bytes uploaded between two waits for the device. Up to twice as many are buffered in host memory,
 * while more are read from the file.
 */
const MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024;

/** Uploads all weights to the device. */
export async function uploadWeights(
  device: GPUDevice,
  model: Model,
  { buffers: { vectors, matrices }, onProgress = () => {} }: {
    buffers: EngineBuffers;
    onProgress?: OnProgress | undefined;
  },
): Promise<void> {
  for (const [name, buffer] of vectors) {
    upload(device, buffer, new Float32Array(model.vectors.get(name)!));
  }
  const buffersOfWeights = new Set(
    [...matrices.values()].flatMap(({ parts }) => parts.map(({ buffer }) => buffer)),
  );
  const total = [...buffersOfWeights].reduce((sum, { size }) => sum + size, 0);
  let done = 0, inFlight = 0;
  let uploaded = Promise.resolve();
  for await (
    const { piece, buffer, codesAt, scalesAt, bytes } of prefetch(placePieces(model, matrices))
  ) {
    upload(device, buffer, piece.codes, codesAt);
    upload(device, buffer, piece.scales, scalesAt);
    done += bytes;
    inFlight += bytes;
    onProgress(done, total);
    if (inFlight < MAX_IN_FLIGHT_BYTES) continue;
    await uploaded;
    uploaded = waitForUploads(device);
    uploaded.catch(() => {}); // reported when it is awaited
    inFlight = 0;
  }
  await uploaded;
  await waitForUploads(device);
}

/** Rows of a matrix and their position in a buffer. */
interface PlacedPiece {
  piece: PackedPiece;
  buffer: GPUBuffer;
  codesAt: number;
  scalesAt: number;
  bytes: number;
}

/** Yields all matrices piece by piece as they are read. */
async function* placePieces(
  model: Model,
  matrices: EngineBuffers["matrices"],
): AsyncGenerator<PlacedPiece, void> {
  for (const [name, { type, parts }] of matrices) {
    const source = model.matrix(name);
    const { columns } = source;
    for (const { buffer, firstRow: first, rows, firstBlock, bufferRows } of parts) {
      const codesAt = codeBytes(firstBlock * ROW_BLOCK, columns, type);
      const scalesAt = codeBytes(bufferRows, columns, type) +
        scaleBytes(firstBlock * ROW_BLOCK, columns, type);
      for await (const piece of packedPieces(source, { type, first, count: rows })) {
        const row = piece.firstRow - first;
        yield {
          piece,
          buffer,
          codesAt: codesAt + codeBytes(row, columns, type),
          scalesAt: scalesAt + scaleBytes(row, columns, type),
          bytes: matrixBytes(piece.rows, columns, type),
        };
      }
    }
  }
}

/** Yields the same values, and requests the next one while one is in use. */
async function* prefetch<T>(values: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  let next = values.next();
  while (true) {
    const { done, value } = await next;
    if (done) return;
    next = values.next();
    next.catch(() => {}); // reported when it is awaited
    yield value;
  }
}

/** Waits until all uploads have completed. */
async function waitForUploads({ queue }: GPUDevice): Promise<void> {
  queue.submit([]);
  await queue.onSubmittedWorkDone();
}

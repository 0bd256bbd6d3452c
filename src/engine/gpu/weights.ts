/** Fills the buffers of an engine with a model's weights, piece by piece. */

import { codeBytes, matrixBytes, ROW_BLOCK, scaleBytes } from "../../../kernels/layouts.ts";
import { upload } from "../../gpu/mod.ts";
import type { Model } from "../../model/load.ts";
import { type Piece, pieces } from "../../quant/mod.ts";
import type { OnProgress } from "../engine.ts";
import type { EngineBuffers } from "./buffers.ts";

/**
 * Bytes that are sent before those sent earlier are waited for: copies of twice as many are kept, and
 * more are read from the file in the time that waiting takes.
 */
const IN_FLIGHT_BYTES = 16 * 1024 * 1024;

/** Sends all weights to the device. */
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
  let arrived = Promise.resolve();
  for await (const { piece, buffer, codesAt, scalesAt, bytes } of ahead(placed(model, matrices))) {
    upload(device, buffer, piece.codes, codesAt);
    upload(device, buffer, piece.scales, scalesAt);
    done += bytes;
    inFlight += bytes;
    onProgress(done, total);
    if (inFlight < IN_FLIGHT_BYTES) continue;
    await arrived;
    arrived = settle(device);
    arrived.catch(() => {}); // told when it is waited for
    inFlight = 0;
  }
  await arrived;
  await settle(device);
}

/** Rows of a matrix, and where they go. */
interface PlacedPiece {
  piece: Piece;
  buffer: GPUBuffer;
  codesAt: number;
  scalesAt: number;
  bytes: number;
}

/** All matrices in pieces, as they are read. */
async function* placed(
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
      for await (const piece of pieces(source, { type, first, count: rows })) {
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

/** The same, with the next one on its way while one is used. */
async function* ahead<T>(values: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  let next = values.next();
  while (true) {
    const { done, value } = await next;
    if (done) return;
    next = values.next();
    next.catch(() => {}); // told when it is waited for
    yield value;
  }
}

/** Waits until what was sent has arrived. */
async function settle({ queue }: GPUDevice): Promise<void> {
  queue.submit([]);
  await queue.onSubmittedWorkDone();
}

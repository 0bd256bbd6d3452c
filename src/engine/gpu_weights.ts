/**
 * Weights in device memory. A matrix larger than what the device binds at once is cut by rows into
 * several buffers; it is read, quantized, packed and sent in pieces, so that it is never in memory whole.
 */

import {
  codeBytes,
  isQuantized,
  matrixBytes,
  packCodes,
  packFloats,
  packScales,
  ROW_BLOCK,
  scaleBytes,
  type WeightType,
} from "../../kernels/layouts.ts";
import { storageBuffer, upload } from "../gpu/mod.ts";
import type { MatrixSource } from "../model/load.ts";
import { quantize } from "../quant/quantize.ts";

/** Bytes of float32 rows that are read from the checkpoint at once. */
const PIECE_BYTES = 16 * 1024 * 1024;

/** Rows `firstRow` to `firstRow + rows - 1` of a matrix, in a buffer of their own. */
export interface MatrixPart {
  buffer: GPUBuffer;
  firstRow: number;
  rows: number;
}

export interface UploadOptions {
  type: WeightType;
  /** Bytes of one buffer at most; the device's limit unless told. */
  maxPartBytes?: number | undefined;
}

/** Sends a matrix to the device. */
export async function uploadMatrix(
  device: GPUDevice,
  source: MatrixSource,
  { type, maxPartBytes = device.limits.maxStorageBufferBindingSize }: UploadOptions,
): Promise<MatrixPart[]> {
  const { name, rows, columns } = source;
  const limit = Math.min(maxPartBytes, device.limits.maxBufferSize);
  const blockBytes = matrixBytes(ROW_BLOCK, columns, type);
  const partRows = Math.max(1, Math.floor(limit / blockBytes)) * ROW_BLOCK;
  const pieceRows = Math.max(1, Math.floor(PIECE_BYTES / (columns * 4 * ROW_BLOCK))) * ROW_BLOCK;
  const parts: MatrixPart[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += partRows) {
    const count = Math.min(partRows, rows - firstRow);
    const buffer = storageBuffer(device, name, matrixBytes(count, columns, type));
    for (let row = 0; row < count; row += pieceRows) {
      const piece = Math.min(pieceRows, count - row);
      const values = await source.readRows(firstRow + row, piece);
      const at = codeBytes(row, columns, type);
      if (!isQuantized(type)) {
        upload(device, buffer, packFloats(values, { rows: piece, columns, type }), at);
        continue;
      }
      const quantized = quantize(values, { columns, type });
      upload(device, buffer, packCodes(quantized, { rows: piece, columns, type }), at);
      const scales = codeBytes(count, columns, type) + scaleBytes(row, columns, type);
      upload(device, buffer, packScales(quantized, { rows: piece, columns, type }), scales);
    }
    parts.push({ buffer, firstRow, rows: count });
  }
  return parts;
}

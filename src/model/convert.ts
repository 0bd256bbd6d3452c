/** Writes a model as a converted file, tensor by tensor in chunks, so memory use is independent of its size. */

import { decodeFloat16, float16Bits } from "../core/float16.ts";
import type { ByteSink } from "../formats/byte_sink.ts";
import type { NewTensor } from "../formats/new_tensor.ts";
import { SafetensorsWriter } from "../formats/safetensors_writer.ts";
import { DTYPE_BYTES } from "../formats/tensor_layout.ts";
import {
  assertFitsFloat16,
  codeBytes,
  isQuantized,
  matrixBytes,
  type MatrixSource,
  packedPieces,
  packedTensors,
  type Quant,
  quantName,
  scaleBytes,
  type WeightType,
} from "../quant/mod.ts";
import {
  type ConversionInfo,
  type ConvertedMatrix,
  encodeConversionInfo,
} from "./converted_file.ts";
import { weightTypes } from "./weight_types.ts";
import type { Model } from "./load.ts";

/** Bytes per copy. */
const COPY_BYTES = 16 * 1024 * 1024;

/** An error value with the longest possible JSON, to reserve space in the header. */
const LONGEST_ERROR = 1.2345678e-100;

/** Options of a conversion. */
export interface ConvertOptions {
  /** Weight types of the matrices in the file. */
  quant: Quant;
  /** Called with the number of source bytes processed, and the total. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Converts a model and returns the metadata of the new file. Errors of the sink propagate.
 *
 * @throws InferenceError `invalid_value` for a policy that matches no matrix, or if the model is already
 * converted to other types; `invalid_checkpoint` for a damaged file.
 */
export async function convertModel(
  model: Model,
  sink: ByteSink,
  { quant, onProgress = () => {} }: ConvertOptions,
): Promise<ConversionInfo> {
  const types = weightTypes(model, quant);
  const tensors: NewTensor[] = [];
  const reserved = new Map<string, ConvertedMatrix>();
  for (const [name, type] of types) {
    const { rows, columns } = model.matrix(name);
    if (isQuantized(type)) {
      const { codes, scales } = packedTensors({ name, rows, columns, type });
      tensors.push(codes, scales);
    } else {
      const dtype = type === "f16" ? "F16" : model.checkpoint.tensors.get(storedName(model, name))!
        .dtype;
      tensors.push({ name, dtype, shape: [rows, columns] });
    }
    reserved.set(name, { held: quantName(type), rows, columns, error: LONGEST_ERROR });
  }
  const others = otherTensors(model, types);
  tensors.push(...others);
  const { digest, name, dimensions: { groupNormEps } } = model;
  const source = model.converted?.source ?? name.replace(/^.*[/\\]/, "");
  const converted: ConversionInfo = { quant, source, digest, groupNormEps, matrices: reserved };
  const writer = new SafetensorsWriter(sink, tensors, { reserve: encodeConversionInfo(converted) });

  const total = [...model.checkpoint.tensors.values()].reduce((sum, t) => sum + t.byteLength, 0);
  let done = 0;
  const onBytes = (bytes: number) => onProgress(done += bytes, total);
  const matrices = new Map<string, ConvertedMatrix>();
  for (const [matrix, type] of types) {
    const source = model.matrix(matrix);
    const error = await writeMatrix(writer, model, { source, type, onBytes });
    matrices.set(matrix, { ...reserved.get(matrix)!, error });
  }
  for (const { name } of others) {
    await copyTensor(writer, model, { name, onBytes });
  }
  await writer.finish(encodeConversionInfo({ ...converted, matrices }));
  return { ...converted, matrices };
}

/** Returns all tensors except the matrices, widest elements first, so that all are aligned. */
function otherTensors(model: Model, matrices: ReadonlyMap<string, unknown>): NewTensor[] {
  const width = ({ dtype }: NewTensor) => DTYPE_BYTES.get(dtype) ?? 0;
  return [...model.names]
    .filter(([name]) => !matrices.has(name))
    .map(([name, stored]) => {
      const { dtype, shape } = model.checkpoint.tensors.get(stored)!;
      return { name, dtype, shape };
    })
    .sort((a, b) => width(b) - width(a));
}

/** Writes a matrix and returns its relative error, rounded; `null` if the conversion is exact. */
async function writeMatrix(
  writer: SafetensorsWriter,
  model: Model,
  { source, type, onBytes }: {
    source: MatrixSource;
    type: WeightType;
    onBytes: (bytes: number) => void;
  },
): Promise<number | null> {
  const { name, rows, columns } = source;
  if (type === "f32") {
    await copyTensor(writer, model, { name, onBytes });
    return null;
  }
  if (type === "f16") return await writeFloat16(writer, model, { source, onBytes });
  const { codes, scales } = packedTensors({ name, rows, columns, type });
  const rowBytes = bytesOf(model, source) / rows;
  let squaredError = 0, squaredValues = 0;
  for await (const piece of packedPieces(source, { type })) {
    await writer.write(codes.name, codeBytes(piece.firstRow, columns, type), piece.codes);
    await writer.write(scales.name, scaleBytes(piece.firstRow, columns, type), piece.scales);
    squaredError += piece.squaredError;
    squaredValues += piece.squaredValues;
    onBytes(piece.rows * rowBytes);
  }
  if (source.packed !== null) return model.converted?.matrices.get(name)?.error ?? null;
  return relativeError(squaredError, squaredValues);
}

/** Writes a matrix as F16 in row-major order, like `writeMatrix`. */
async function writeFloat16(
  writer: SafetensorsWriter,
  model: Model,
  { source, onBytes }: { source: MatrixSource; onBytes: (bytes: number) => void },
): Promise<number | null> {
  const { name, rows, columns } = source;
  const step = Math.max(1, Math.floor(COPY_BYTES / (columns * 4)));
  const rowBytes = bytesOf(model, source) / rows;
  let squaredError = 0, squaredValues = 0;
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const values = await source.readRows(row, count);
    assertFitsFloat16(values, name);
    const halves = float16Bits(values);
    const rounded = new Float32Array(values.length);
    decodeFloat16(halves, rounded);
    for (let i = 0; i < values.length; i++) {
      squaredError += (values[i] - rounded[i]) ** 2;
      squaredValues += values[i] ** 2;
    }
    await writer.write(name, row * columns * 2, new Uint8Array(halves.buffer));
    onBytes(count * rowBytes);
  }
  return squaredError === 0 ? null : relativeError(squaredError, squaredValues);
}

async function copyTensor(
  writer: SafetensorsWriter,
  model: Model,
  { name, onBytes }: { name: string; onBytes: (bytes: number) => void },
): Promise<void> {
  const stored = storedName(model, name);
  const { byteLength } = model.checkpoint.tensors.get(stored)!;
  for (let at = 0; at < byteLength; at += COPY_BYTES) {
    const bytes = await model.checkpoint.readRaw(stored, at, Math.min(COPY_BYTES, byteLength - at));
    await writer.write(name, at, bytes);
    onBytes(bytes.length);
  }
}

function storedName(model: Model, name: string): string {
  return model.names.get(name)!;
}

/** Returns the size of a matrix in the source file. */
function bytesOf({ checkpoint, names }: Model, { name, rows, columns, packed }: MatrixSource) {
  if (packed === null) return checkpoint.tensors.get(names.get(name)!)!.byteLength;
  return matrixBytes(rows, columns, packed);
}

/** Returns the square root of squared error over squared values, rounded to four digits. */
function relativeError(squaredError: number, squaredValues: number): number {
  return squaredValues === 0 ? 0 : Number(Math.sqrt(squaredError / squaredValues).toPrecision(4));
}

/**
 * Matrices of a model, read by rows because a matrix can be too large to keep two copies in memory. A
 * matrix is read as floats or, from a converted file, as packed rows.
 */

import { ROW_BLOCK, type WeightType } from "../../kernels/layouts.ts";
import { InferenceError } from "../core/errors.ts";
import { type PackedRows, packRows } from "./pack.ts";
import { quantName } from "./policy.ts";

/** A matrix `[rows, columns]` that is multiplied from the left, from any source. */
export interface MatrixSource {
  /** Published name. */
  readonly name: string;
  /** Outputs. */
  readonly rows: number;
  /** Inputs. */
  readonly columns: number;
  /** Weight type if packed; `null` if readable as floats. */
  readonly packed: WeightType | null;
  /** Reads float32 `[count, columns]` of a matrix that is not packed. */
  readRows(first: number, count: number): Promise<Float32Array>;
  /** Reads rows of a packed matrix. `first` and `count` must be multiples of 8, except at the end. */
  readPacked(first: number, count: number): Promise<PackedRows>;
}

/** Consecutive rows of a matrix, packed. */
export interface PackedPiece extends PackedRows {
  firstRow: number;
  rows: number;
  /** Sums over these rows if they were quantized now; otherwise zero. */
  squaredError: number;
  squaredValues: number;
}

/** The rows to pack, and their type. */
export interface PieceOptions {
  type: WeightType;
  /** Rows `[first, first + count)`, all by default; `first` must be a multiple of 8. */
  first?: number;
  count?: number;
}

/** Maximum float32 bytes per piece. */
const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * Packs a matrix piece by piece. Devices, converted files and the CPU engine use the same bytes.
 *
 * @throws InferenceError `invalid_value` if the matrix is already packed as another type.
 */
export async function* packedPieces(
  source: MatrixSource,
  { type, first = 0, count = source.rows - first }: PieceOptions,
): AsyncGenerator<PackedPiece> {
  const { name, columns, packed } = source;
  assertStoredAs(source, type);
  const step = Math.max(1, Math.floor(PIECE_BYTES / (columns * 4 * ROW_BLOCK))) * ROW_BLOCK;
  for (let firstRow = first; firstRow < first + count; firstRow += step) {
    const rows = Math.min(step, first + count - firstRow);
    if (packed !== null) {
      const read = await source.readPacked(firstRow, rows);
      yield { ...read, firstRow, rows, squaredError: 0, squaredValues: 0 };
    } else {
      const values = await source.readRows(firstRow, rows);
      if (type === "f16") assertFitsFloat16(values, name);
      yield { ...packRows(values, { columns, type }), firstRow, rows };
    }
  }
}

/** Smallest magnitude that float16 rounds to infinity. */
const FLOAT16_OVERFLOW = 65520;

/** @throws InferenceError `invalid_value` if a value exceeds the range of float16 */
export function assertFitsFloat16(values: Float32Array, matrix: string): void {
  for (const value of values) {
    if (Math.abs(value) < FLOAT16_OVERFLOW) continue;
    throw new InferenceError(
      "invalid_value",
      `Cannot store ${matrix} as f16: weight ${value} exceeds the float16 maximum 65504; use ` +
        "--quant none or int8",
      { param: "quant" },
    );
  }
}

/** @throws InferenceError `invalid_value` if the matrix is packed as another type */
export function assertStoredAs({ name, packed }: MatrixSource, type: WeightType): void {
  if (packed === null || packed === type) return;
  throw new InferenceError(
    "invalid_value",
    `Cannot load ${name} as ${quantName(type)}: the file stores it as ${quantName(packed)}; omit ` +
      "--quant (RWKV_QUANT), or convert the model's original file again",
    { param: "quant" },
  );
}

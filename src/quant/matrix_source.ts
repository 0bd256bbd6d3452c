/**
 * Matrices of a model, read by rows, since one may be larger than memory should hold twice: as
 * floats, or, out of a converted file, as the packed rows that they are.
 */

import { ROW_BLOCK, type WeightType } from "../../kernels/layouts.ts";
import { InferenceError } from "../core/errors.ts";
import { type PackedRows, packRows } from "./pack.ts";
import { quantName } from "./policy.ts";

/** A matrix `[rows, columns]` that multiplies from the left, wherever its rows come from. */
export interface MatrixSource {
  /** As published. */
  readonly name: string;
  /** Outputs. */
  readonly rows: number;
  /** Inputs. */
  readonly columns: number;
  /** What it is packed as; `null` where it can be read as floats. */
  readonly packed: WeightType | null;
  /** float32 `[count, columns]`, of a matrix that is not packed. */
  readRows(first: number, count: number): Promise<Float32Array>;
  /** Rows of a packed matrix; `first` a multiple of 8, `count` too unless it ends the matrix. */
  readPacked(first: number, count: number): Promise<PackedRows>;
}

/** Consecutive rows of a matrix, packed. */
export interface PackedPiece extends PackedRows {
  firstRow: number;
  rows: number;
  /** Sums over these rows, of a matrix that was quantized just now; else zero. */
  squaredError: number;
  squaredValues: number;
}

export interface PieceOptions {
  type: WeightType;
  /** Rows `[first, first + count)`, all unless given; `first` a multiple of 8. */
  first?: number;
  count?: number;
}

/** Bytes of float32 that a piece comes from at most. */
const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * Packs a matrix piece by piece. Whoever takes the pieces, a device, a file or the CPU engine, gets
 * the same bytes.
 *
 * @throws InferenceError `invalid_value` where it is packed as another type already.
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

/** From here on float16 rounds to infinity. */
const HALF_OVERFLOW = 65520;

/** @throws InferenceError `invalid_value` where float16 would be infinite. */
export function assertFitsFloat16(values: Float32Array, matrix: string): void {
  for (const value of values) {
    if (Math.abs(value) < HALF_OVERFLOW) continue;
    throw new InferenceError(
      "invalid_value",
      `Cannot hold ${matrix} as f16: it has a weight of ${value}, and float16 ends at 65504; use ` +
        "--quant none or int8",
      { param: "quant" },
    );
  }
}

/** @throws InferenceError `invalid_value` where a matrix is packed as another type. */
export function assertStoredAs({ name, packed }: MatrixSource, type: WeightType): void {
  if (packed === null || packed === type) return;
  throw new InferenceError(
    "invalid_value",
    `Cannot hold ${name} as ${quantName(type)}: the file holds it as ${quantName(packed)}; leave ` +
      "--quant (RWKV_QUANT) away, or convert the model's original file again",
    { param: "quant" },
  );
}

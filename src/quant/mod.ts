/** The quantization layer: the weight type of each matrix, and its packed bytes. */

export {
  codeBytes,
  isQuantized,
  matrixBytes,
  NF4,
  type QuantizedType,
  ROW_BLOCK,
  scaleBytes,
  type WeightType,
} from "../../kernels/layouts.ts";
export {
  assertFitsFloat16,
  assertStoredAs,
  type MatrixSource,
  type PackedPiece,
  packedPieces,
} from "./matrix_source.ts";
export type { PackedRows } from "./pack.ts";
export { firstNonFiniteScale, packedTensors } from "./packed_tensors.ts";
export {
  assignTypes,
  parseQuant,
  type Quant,
  QUANT_NAMES,
  type QuantName,
  quantName,
} from "./policy.ts";
export { dequantize } from "./quantize.ts";

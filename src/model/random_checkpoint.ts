/**
 * Checkpoints of published sizes with random weights that are generated on read, for benchmarks and for
 * tests of memory and loading without a download. Quantized matrices are packed, as in a converted file;
 * all other tensors are BF16, as published.
 *
 * A weight depends only on the tensor's name and its index, so any part of a tensor can be read on its
 * own. Weights are approximately normal, with a standard deviation of 1 / sqrt(columns).
 */

import { float16Bits, roundToFloat16 } from "../core/float16.ts";
import { toHex } from "../core/hex.ts";
import { sha256 } from "../core/sha256.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { DTYPE_BYTES } from "../formats/tensor_layout.ts";
import { widen } from "../formats/widen.ts";
import {
  assignTypes,
  isQuantized,
  NF4,
  packedTensors,
  type Quant,
  type QuantizedType,
  quantName,
} from "../quant/mod.ts";
import { type ConvertedMatrix, encodeConversionInfo } from "./converted_file.ts";
import {
  architectureOf,
  dimensionsOf,
  matrixNames,
  type ModelSize,
} from "./architectures/registry.ts";

/** Generates the bytes of a tensor from `byteOffset`. */
type Fill = (bytes: Uint8Array, byteOffset: number) => void;

class RandomCheckpoint implements Checkpoint {
  readonly format = "safetensors";
  readonly tensors: Map<string, TensorInfo> = new Map();
  readonly #fills = new Map<string, Fill>();

  constructor(readonly name: string, readonly metadata: Readonly<Record<string, string>>) {}

  add(tensor: Omit<TensorInfo, "byteLength">, fill: Fill): void {
    const byteLength = tensor.shape.reduce((a, b) => a * b, DTYPE_BYTES.get(tensor.dtype)!);
    this.tensors.set(tensor.name, { ...tensor, byteLength });
    this.#fills.set(tensor.name, fill);
  }

  read(name: string): Promise<Float32Array> {
    return this.#floats(name, 0, this.#tensor(name).byteLength);
  }

  readRows(name: string, firstRow: number, rowCount: number): Promise<Float32Array> {
    const { shape: [rows], byteLength } = this.#tensor(name);
    const rowBytes = byteLength / rows;
    return this.#floats(name, firstRow * rowBytes, rowCount * rowBytes);
  }

  // deno-lint-ignore require-await -- a promise like every checkpoint's
  async readRaw(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array> {
    this.#tensor(name);
    const bytes = new Uint8Array(byteLength);
    this.#fills.get(name)!(bytes, byteOffset);
    return bytes;
  }

  async close(): Promise<void> {}

  async #floats(name: string, byteOffset: number, byteLength: number): Promise<Float32Array> {
    const values = new Float32Array(byteLength / 2);
    widen("BF16", await this.readRaw(name, byteOffset, byteLength), values);
    return values;
  }

  #tensor(name: string): TensorInfo {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`Cannot read ${name}: ${this.name} has no such tensor`);
    return tensor;
  }
}

/**
 * Creates a checkpoint of a published size.
 *
 * @throws InferenceError `invalid_value` for a policy that matches no matrix.
 */
export async function randomCheckpoint(shape: ModelSize, quant: Quant): Promise<Checkpoint> {
  const dimensions = dimensionsOf(shape);
  const architecture = architectureOf(dimensions);
  const types = assignTypes(quant, matrixNames(dimensions));
  const shapes = architecture.tensorShapes(dimensions);
  const matrices = new Map<string, ConvertedMatrix>();
  for (const [name, type] of types) {
    const [rows, columns] = shapes.get(name)!;
    matrices.set(name, { held: quantName(type), rows, columns, error: null });
  }
  const name = `random-${shape}`;
  const packed = [...types.values()].some(isQuantized);
  const checkpoint = new RandomCheckpoint(
    name,
    packed
      ? encodeConversionInfo({
        quant,
        source: name,
        digest: await digestOf(`${name} ${quant}`),
        groupNormEps: dimensions.groupNormEps,
        matrices,
      })
      : {},
  );
  for (const [name, shape] of shapes) {
    const type = types.get(name);
    const seed = hash(seedOf(name), shape.length);
    if (type !== undefined && isQuantized(type)) {
      const [rows, columns] = shape;
      const { codes, scales } = packedTensors({ name, rows, columns, type });
      const deviation = 1 / Math.sqrt(columns);
      const { fill, deviation: codeDeviation } = RANDOM_CODES[type];
      checkpoint.add(codes, fill(seed));
      checkpoint.add(scales, scalesAround(deviation / codeDeviation, hash(seed, 1)));
    } else {
      checkpoint.add(
        { name, dtype: "BF16", shape },
        bfloats(architecture.randomWeights(name, shape), seed),
      );
    }
  }
  return checkpoint;
}

/** Largest deviation of a sum of four bytes from its mean, in standard deviations. */
const SUM_RANGE = 510 / Math.sqrt(4 * (256 ** 2 - 1) / 12);

/** Assumed largest value of a block, in standard deviations. */
const INT8_RANGE = 2.5;

/** Generators of random codes, and the standard deviation of the decoded codes at scale 1. */
const RANDOM_CODES: Record<
  QuantizedType,
  { fill: (seed: number) => Fill; deviation: number }
> = {
  int8: { fill: int8Codes, deviation: 1 / INT8_RANGE },
  nf4: {
    fill: nf4Codes,
    deviation: Math.sqrt(NF4.reduce((sum, value) => sum + value * value, 0) / NF4.length),
  },
};

/** Maps a sum of four bytes to an approximately standard normal number. */
function normal(sum: number): number {
  return (sum / 510 - 1) * SUM_RANGE;
}

/** @param weightAt Maps a standard normal number to a weight. */
function bfloats(weightAt: (z: number) => number, seed: number): Fill {
  const floats = Float32Array.from({ length: 1021 }, (_, sum) => weightAt(normal(sum)));
  const table = Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
  return (bytes, byteOffset) => {
    const values = new Uint16Array(bytes.buffer);
    for (let i = 0; i < values.length; i++) {
      values[i] = table[byteSum(hash(seed, byteOffset / 2 + i))];
    }
  };
}

function int8Codes(seed: number): Fill {
  const table = Int8Array.from({ length: 1021 }, (_, sum) => {
    return Math.max(-127, Math.min(127, Math.round(normal(sum) / INT8_RANGE * 127)));
  });
  return (bytes, byteOffset) => {
    const codes = new Int8Array(bytes.buffer);
    for (let i = 0; i < codes.length; i++) codes[i] = table[byteSum(hash(seed, byteOffset + i))];
  };
}

/** The codes are quantiles of a normal distribution, so all of them are equally likely. */
function nf4Codes(seed: number): Fill {
  return (bytes, byteOffset) => {
    const words = new Uint32Array(bytes.buffer);
    for (let i = 0; i < words.length; i++) words[i] = hash(seed, byteOffset / 4 + i);
  };
}

function scalesAround(middle: number, seed: number): Fill {
  const table = float16Bits(
    Float32Array.from({ length: 256 }, (_, i) => roundToFloat16(middle * (0.8 + 0.4 * i / 255))),
  );
  return (bytes, byteOffset) => {
    const scales = new Uint16Array(bytes.buffer);
    for (let i = 0; i < scales.length; i++) {
      scales[i] = table[hash(seed, byteOffset / 2 + i) & 255];
    }
  };
}

function byteSum(bits: number): number {
  return (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
}

/** Hashes an index to 32 bits with the finalizer of MurmurHash3. */
function hash(seed: number, index: number): number {
  let bits = (seed + Math.imul(index, 0x9e3779b9)) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function seedOf(name: string): number {
  let seed = 1;
  for (const byte of new TextEncoder().encode(name)) seed = hash(seed, byte);
  return seed;
}

async function digestOf(text: string): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(text)));
}

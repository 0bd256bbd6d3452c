/**
 * Converted files: safetensors files whose matrices are packed for the device, and whose metadata
 * describes the source. All other tensors are copied from the source under their published names. A
 * float matrix is one tensor, as F16 or in its original type. An int8 or nf4 matrix is two tensors, see
 * `packedTensors`.
 */

import { z } from "zod";
import { invalidCheckpoint } from "../formats/byte_source.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import {
  codeBytes,
  firstNonFiniteScale,
  isQuantized,
  type MatrixSource,
  packedTensors,
  parseQuant,
  type Quant,
  QUANT_NAMES,
  type QuantizedType,
  type QuantName,
  ROW_BLOCK,
  scaleBytes,
} from "../quant/mod.ts";

/** Metadata key that marks a converted file; its value is the format version. */
const VERSION_KEY = "rwkv_edge_converted";
const VERSION = "1";

/** Metadata of one matrix in a converted file. */
export interface ConvertedMatrix {
  /** Weight type in the file. */
  held: QuantName;
  /** Outputs. */
  rows: number;
  /** Inputs. */
  columns: number;
  /** Square root of squared error over squared values; `null` if the conversion is exact. */
  error: number | null;
}

/** Metadata of a converted file. */
export interface ConversionInfo {
  /** The quantization policy of the conversion. */
  quant: Quant;
  /** Name of the source file. */
  source: string;
  /** `tensorDigest` of the source file. */
  digest: string;
  /** Epsilon of the group norm. */
  groupNormEps: number;
  /** All matrices, by published name. */
  matrices: ReadonlyMap<string, ConvertedMatrix>;
}

/** Maximum length of the matrix metadata; a large model needs some ten thousand characters. */
const MAX_MATRICES_CHARS = 2 ** 20;

const MatricesSchema = z.record(
  z.string(),
  z.object({
    held: z.string(),
    rows: z.int().positive(),
    columns: z.int().positive(),
    error: z.number().nonnegative().nullable(),
  }),
);

const MetadataSchema = z.object({
  quant: z.string(),
  source: z.string(),
  source_digest: z.string().regex(/^[0-9a-f]{64}$/),
  group_norm_eps: z.string().transform(Number).pipe(z.number().positive()),
  matrices: z.string().max(MAX_MATRICES_CHARS),
});

/** Encodes the `__metadata__` of a converted file. */
export function encodeConversionInfo(converted: ConversionInfo): Record<string, string> {
  return {
    [VERSION_KEY]: VERSION,
    quant: converted.quant,
    source: converted.source,
    source_digest: converted.digest,
    group_norm_eps: `${converted.groupNormEps}`,
    matrices: JSON.stringify(Object.fromEntries(converted.matrices)),
  };
}

/**
 * Reads the metadata of a converted file and validates its packed tensors against it. Returns `null` for
 * any other file.
 *
 * @throws InferenceError `invalid_checkpoint` if the file is damaged or has another format version.
 */
export function readConversionInfo(checkpoint: Checkpoint): ConversionInfo | null {
  const { name, metadata } = checkpoint;
  const version = metadata[VERSION_KEY];
  if (version === undefined) return null;
  if (version !== VERSION) {
    throw invalidCheckpoint(
      name,
      `is a converted file of version ${version}, but this program reads ${VERSION}: use a newer ` +
        "program, or convert the model's original file again",
    );
  }
  const damaged = (problem: string, cause?: unknown) =>
    invalidCheckpoint(name, `${problem}: convert the model's original file again`, { cause });
  let fields, quant, matrices;
  try {
    fields = MetadataSchema.parse(metadata);
    quant = parseQuant(fields.quant);
    matrices = MatricesSchema.parse(JSON.parse(fields.matrices));
  } catch (cause) {
    throw damaged("its conversion metadata is malformed", cause);
  }
  const checked = new Map<string, ConvertedMatrix>();
  for (const [matrix, { held, ...sizes }] of Object.entries(matrices)) {
    if (!isQuantName(held)) {
      throw damaged(`matrix ${matrix} has the unknown weight type "${held}"`);
    }
    checked.set(matrix, { held, ...sizes });
    if (!isQuantized(held)) continue;
    const { codes, scales } = packedTensors({ name: matrix, ...sizes, type: held });
    for (const wanted of [codes, scales]) {
      const found = checkpoint.tensors.get(wanted.name);
      if (found?.dtype !== wanted.dtype || `${found.shape}` !== `${wanted.shape}`) {
        throw damaged(
          `tensor "${wanted.name}" ` +
            (found ? `is ${found.dtype} [${found.shape}] instead of ` : "is missing, ") +
            `${wanted.dtype} [${wanted.shape}]`,
        );
      }
    }
  }
  return {
    quant,
    source: fields.source,
    digest: fields.source_digest,
    groupNormEps: fields.group_norm_eps,
    matrices: checked,
  };
}

function isQuantName(word: string): word is QuantName {
  return (QUANT_NAMES as readonly string[]).includes(word);
}

/** Returns a packed matrix of a converted file. */
export function packedMatrix(
  checkpoint: Checkpoint,
  { name, rows, columns, type }: {
    name: string;
    rows: number;
    columns: number;
    type: QuantizedType;
  },
): MatrixSource {
  const { codes, scales } = packedTensors({ name, rows, columns, type });
  return {
    name,
    rows,
    columns,
    packed: type,
    readRows: () => Promise.reject(new Error(`Cannot read ${name} as floats: it is packed`)),
    readPacked: async (first, count) => {
      const padded = Math.ceil(count / ROW_BLOCK) * ROW_BLOCK;
      const read = async (tensor: string, bytes: typeof codeBytes) => {
        const [from, length] = [bytes(first, columns, type), bytes(padded, columns, type)];
        // The buffers of file reads are never shared between threads.
        return await checkpoint.readRaw(tensor, from, length) as Uint8Array<ArrayBuffer>;
      };
      const piece = {
        codes: await read(codes.name, codeBytes),
        scales: await read(scales.name, scaleBytes),
      };
      const bad = firstNonFiniteScale(piece.scales);
      if (bad >= 0) {
        const perRowBlock = piece.scales.length / 2 * ROW_BLOCK / padded;
        const row = first + Math.floor(bad / perRowBlock) * ROW_BLOCK + bad % ROW_BLOCK;
        throw invalidCheckpoint(
          checkpoint.name,
          `tensor "${scales.name}" has a scale for row ${row} that is infinite or NaN: ` +
            "the file is damaged; convert the model's original file again",
        );
      }
      return piece;
    },
  };
}

/**
 * The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes without
 * gaps. Reading checks what the reference implementation checks; writing is for small files in memory,
 * and safetensors_writer.ts for others.
 */

import { z } from "zod";
import { InferenceError } from "../core/errors.ts";
import { type ByteSource, invalidCheckpoint } from "./byte_source.ts";
import { encodeHead, placeTensors, type SafetensorsMetadata } from "./safetensors_header.ts";
import {
  contiguousStrides,
  DTYPE_BYTES,
  elementCount,
  type TensorLayout,
} from "./tensor_layout.ts";

/** Bytes of the JSON header that are accepted; a large model's has some hundred thousand. */
const MAX_HEADER = 16 * 2 ** 20;

/** Dimensions of a tensor that are accepted. */
const MAX_RANK = 32;

/** Looked at by hand: of many entries that are wrong, zod would tell each. */
const HeaderSchema = z.looseObject({
  __metadata__: z.custom<Record<string, string>>(isMetadata).optional(),
});

const EntrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.custom((shape) => Array.isArray(shape) && shape.length <= MAX_RANK, {
    error: `expected at most ${MAX_RANK} dimensions`,
    abort: true,
  }).pipe(z.array(z.int().nonnegative())),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});

/** A tensor to write, `data` in row-major order. */
export interface SafetensorsTensor {
  shape: readonly number[];
  data: Float32Array;
}

/**
 * The tensors of a safetensors file, in the order of its header, and its `__metadata__`.
 *
 * @throws InferenceError `invalid_checkpoint` where the header is not JSON of the right form, or the
 * tensors do not fill the rest of the file exactly, without gap or overlap.
 */
export async function readSafetensorsLayout(source: ByteSource): Promise<{
  layouts: Map<string, TensorLayout>;
  metadata: Record<string, string>;
}> {
  const { entries, metadata, dataStart } = await readStateHeader(source);
  const layouts = new Map<string, TensorLayout>();
  for (const [name, value] of entries) {
    const entry = EntrySchema.safeParse(value);
    if (!entry.success) {
      const problem = z.prettifyError(entry.error).replaceAll("\n", " ");
      throw invalidCheckpoint(source.name, `header of tensor "${name}" is malformed: ${problem}`);
    }
    const { dtype, shape, data_offsets: [begin, end] } = entry.data;
    const byteLength = elementCount(source.name, name, shape) * (DTYPE_BYTES.get(dtype) ?? NaN);
    // The size of a dtype that is not known here is taken as the file states it.
    if (begin > end || (!Number.isNaN(byteLength) && end - begin !== byteLength)) {
      throw invalidCheckpoint(
        source.name,
        `tensor "${name}", ${dtype} of shape [${shape}], cannot lie at bytes ${begin} to ${end}: ` +
          "the file is damaged, fetch it again",
      );
    }
    layouts.set(name, {
      name,
      dtype,
      shape,
      byteLength: end - begin,
      offset: dataStart + begin,
      strides: contiguousStrides(shape),
    });
  }
  checkCoverage(source, layouts, dataStart);
  return { layouts, metadata };
}

async function readStateHeader(source: ByteSource): Promise<{
  entries: [string, unknown][];
  metadata: Record<string, string>;
  dataStart: number;
}> {
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > MAX_HEADER || Number(length) > source.size - 8) {
    throw invalidCheckpoint(
      source.name,
      `states a safetensors header of ${length} bytes in a file of ${source.size}: ` +
        "it is incomplete or damaged, fetch it again",
    );
  }
  const bytes = await source.read(8, Number(length));
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidCheckpoint(
      source.name,
      "its safetensors header is not JSON: the file is damaged, fetch it again",
      { cause },
    );
  }
  const { data: header, error: cause } = HeaderSchema.safeParse(json);
  if (!header) {
    throw invalidCheckpoint(
      source.name,
      "its safetensors header is not an object of tensors and string metadata: save the file " +
        "again with the safetensors library",
      { cause },
    );
  }
  const { __metadata__: metadata = {}, ...tensors } = header;
  return { entries: Object.entries(tensors), metadata, dataStart: 8 + Number(length) };
}

function isMetadata(value: unknown): value is Record<string, string> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((text) => typeof text === "string");
}

/** The tensors, by offset, must follow one another from the header to the end of the file. */
function checkCoverage(
  source: ByteSource,
  layouts: ReadonlyMap<string, TensorLayout>,
  dataStart: number,
): void {
  let end = dataStart;
  const inOrder = [...layouts.values()].sort((a, b) =>
    a.offset - b.offset || a.byteLength - b.byteLength
  );
  for (const { name, offset, byteLength } of inOrder) {
    if (offset !== end) {
      throw invalidCheckpoint(
        source.name,
        `tensor "${name}" lies at byte ${offset}, where ${end} was expected: ` +
          "tensors overlap or leave a gap, the file is damaged",
      );
    }
    end += byteLength;
  }
  if (end !== source.size) {
    throw invalidCheckpoint(
      source.name,
      `its tensors end at byte ${end} of ${source.size}: the file is incomplete or damaged, ` +
        "fetch it again",
    );
  }
}

/**
 * A safetensors file of F32 tensors, in the order given.
 *
 * @param metadata Becomes `__metadata__`; left out where empty.
 * @throws InferenceError `invalid_value` where a shape does not match its data.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  metadata: SafetensorsMetadata = {},
): Uint8Array<ArrayBuffer> {
  for (const [name, { shape, data }] of tensors) {
    if (name === "__metadata__" || shape.reduce((a, b) => a * b, 1) !== data.length) {
      throw new InferenceError(
        "invalid_value",
        `Cannot write tensor "${name}": its shape is [${shape}], its data has ${data.length} numbers`,
      );
    }
  }
  const placed = placeTensors(
    [...tensors].map(([name, { shape }]) => ({ name, dtype: "F32", shape })),
  );
  const head = encodeHead(placed, metadata);
  const size = placed.reduce((sum, { byteLength }) => sum + byteLength, head.length);
  const file = new Uint8Array(size);
  file.set(head);
  for (const { name, begin } of placed) {
    const { buffer, byteOffset, byteLength } = tensors.get(name)!.data;
    file.set(new Uint8Array(buffer, byteOffset, byteLength), head.length + begin);
  }
  return file;
}

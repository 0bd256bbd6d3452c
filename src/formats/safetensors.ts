/**
 * The safetensors format: an eight-byte header length, a JSON header, and the tensors' bytes without
 * gaps. The reader makes the same checks as the reference implementation. `encodeSafetensors` builds
 * small files in memory; safetensors_writer.ts writes files of any size.
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

/** Maximum size of the JSON header in bytes; a large model needs some hundred thousand. */
const MAX_HEADER = 16 * 2 ** 20;

/** Maximum number of dimensions of a tensor. */
const MAX_RANK = 32;

/** Entries are parsed one by one, because zod would report every malformed one. */
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
 * Reads the tensors of a safetensors file, in header order, and its `__metadata__`.
 *
 * @throws InferenceError `invalid_checkpoint` if the header is malformed or the tensors do not fill the
 * rest of the file exactly, without gaps or overlaps.
 */
export async function readSafetensorsLayout(source: ByteSource): Promise<{
  layouts: Map<string, TensorLayout>;
  metadata: Record<string, string>;
}> {
  const { entries, metadata, dataStart } = await readHeader(source);
  const layouts = new Map<string, TensorLayout>();
  for (const [name, value] of entries) {
    const entry = EntrySchema.safeParse(value);
    if (!entry.success) {
      const problem = z.prettifyError(entry.error).replaceAll("\n", " ");
      throw invalidCheckpoint(source.name, `header of tensor "${name}" is malformed: ${problem}`);
    }
    const { dtype, shape, data_offsets: [begin, end] } = entry.data;
    const byteLength = elementCount(source.name, name, shape) * (DTYPE_BYTES.get(dtype) ?? NaN);
    // For an unknown dtype, the size that the file states is accepted.
    if (begin > end || (!Number.isNaN(byteLength) && end - begin !== byteLength)) {
      throw invalidCheckpoint(
        source.name,
        `tensor "${name}", ${dtype} of shape [${shape}], cannot lie at bytes ${begin} to ${end}: ` +
          "the file is damaged; download it again",
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

async function readHeader(source: ByteSource): Promise<{
  entries: [string, unknown][];
  metadata: Record<string, string>;
  dataStart: number;
}> {
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > MAX_HEADER || Number(length) > source.size - 8) {
    throw invalidCheckpoint(
      source.name,
      `declares a safetensors header of ${length} bytes in a file of ${source.size}: ` +
        "it is incomplete or damaged; download it again",
    );
  }
  const bytes = await source.read(8, Number(length));
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidCheckpoint(
      source.name,
      "its safetensors header is not JSON: the file is damaged; download it again",
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

/** Checks that the tensors cover the file from the header to the end, without gaps. */
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
          "tensors overlap or leave a gap; download the file again",
      );
    }
    end += byteLength;
  }
  if (end !== source.size) {
    throw invalidCheckpoint(
      source.name,
      `its tensors end at byte ${end} of ${source.size}: the file is incomplete or damaged; ` +
        "download it again",
    );
  }
}

/**
 * Encodes a safetensors file of F32 tensors in the given order.
 *
 * @param metadata Written as `__metadata__`; omitted if empty.
 * @throws InferenceError `invalid_value` if a shape does not match its data.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  metadata: SafetensorsMetadata = {},
): Uint8Array<ArrayBuffer> {
  for (const [name, { shape, data }] of tensors) {
    if (name === "__metadata__" || shape.reduce((a, b) => a * b, 1) !== data.length) {
      throw new InferenceError(
        "invalid_value",
        `Cannot write tensor "${name}": shape [${shape}] does not match its ${data.length} numbers`,
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

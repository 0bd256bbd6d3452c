/**
 * The common interface of model files of all formats. The format is detected from the content. Opening
 * a file lists its tensors; their data is read on demand, so a file is never loaded as a whole.
 */

import { InferenceError } from "../core/errors.ts";
import { type ByteSource, invalidCheckpoint } from "./byte_source.ts";
import { readSafetensorsLayout } from "./safetensors.ts";
import type { TensorInfo, TensorLayout } from "./tensor_layout.ts";
import { readBytes, readFloats, rowsOf } from "./tensor_reader.ts";
import { readTorchLayout } from "./torch_file.ts";

export type { TensorInfo } from "./tensor_layout.ts";

/** Formats of model files: PyTorch's zip archives and safetensors. */
export type CheckpointFormat = "pth" | "safetensors";

/** An open model file. Every method can throw InferenceError `invalid_checkpoint`. */
export interface Checkpoint {
  /** Name of the source. */
  readonly name: string;
  /** Format of the content, independent of the file name. */
  readonly format: CheckpointFormat;
  /** The `__metadata__` of a safetensors file; the strings and numbers next to the tensors of a .pth. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name, in file order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;

  /** Reads all elements in row-major order as float32. NaN and infinities are errors. */
  read(name: string): Promise<Float32Array>;

  /**
   * Reads the rows `[firstRow, firstRow + rowCount)` of the first dimension, like {@linkcode read}.
   * For a row-major tensor, only the bytes of these rows are read, at most 16 MiB at a time.
   *
   * @throws InferenceError `invalid_value` for rows outside the tensor, or for a scalar.
   */
  readRows(name: string, firstRow: number, rowCount: number): Promise<Float32Array>;

  /**
   * Reads little-endian bytes in the file's dtype. `byteOffset` counts in row-major order,
   * independent of the strides in the file. For a row-major tensor this is a plain read; any other tensor is first
   * gathered as a whole, which requires a supported dtype.
   *
   * @throws InferenceError `invalid_value` for a range outside the tensor.
   */
  readRaw(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array>;

  /** Closes the source. */
  close(): Promise<void>;
}

/**
 * Opens a .pth or .safetensors file; the content decides the format. The checkpoint takes ownership of
 * the source and closes it even if opening fails.
 *
 * @throws InferenceError `invalid_checkpoint` unless the file is complete and well-formed.
 */
export async function openCheckpoint(source: ByteSource): Promise<Checkpoint> {
  try {
    const format = await detectFormat(source);
    const { layouts, metadata } = format === "pth"
      ? await readTorchLayout(source)
      : await readSafetensorsLayout(source);
    return new LayoutCheckpoint(source, { format, layouts, metadata });
  } catch (error) {
    await source.close();
    throw error;
  }
}

class LayoutCheckpoint implements Checkpoint {
  readonly format: CheckpointFormat;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #source: ByteSource;
  readonly #layouts: ReadonlyMap<string, TensorLayout>;

  constructor(source: ByteSource, file: {
    format: CheckpointFormat;
    layouts: ReadonlyMap<string, TensorLayout>;
    metadata: Readonly<Record<string, string>>;
  }) {
    this.#source = source;
    this.#layouts = file.layouts;
    this.tensors = file.layouts;
    this.format = file.format;
    this.metadata = file.metadata;
  }

  get name(): string {
    return this.#source.name;
  }

  async read(name: string): Promise<Float32Array> {
    return await readFloats(this.#source, this.#layout(name));
  }

  async readRows(name: string, firstRow: number, rowCount: number): Promise<Float32Array> {
    const layout = this.#layout(name);
    this.#checkRange(name, "rows", { first: firstRow, count: rowCount, of: layout.shape[0] ?? -1 });
    const rowLength = layout.shape.slice(1).reduce((product, size) => product * size, 1);
    const rows = rowsOf(layout, firstRow, rowCount);
    return await readFloats(this.#source, rows, firstRow * rowLength);
  }

  async readRaw(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array> {
    const layout = this.#layout(name);
    this.#checkRange(name, "bytes", {
      first: byteOffset,
      count: byteLength,
      of: layout.byteLength,
    });
    return await readBytes(this.#source, layout, { byteOffset, byteLength });
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  #layout(name: string): TensorLayout {
    const layout = this.#layouts.get(name);
    if (!layout) throw invalidCheckpoint(this.name, `has no tensor "${name}"`);
    return layout;
  }

  #checkRange(
    tensor: string,
    unit: string,
    { first, count, of }: { first: number; count: number; of: number },
  ): void {
    const valid = Number.isSafeInteger(first) && Number.isSafeInteger(count) &&
      first >= 0 && count >= 0 && first + count <= of;
    if (!valid) {
      throw new InferenceError(
        "invalid_value",
        `Cannot read ${count} ${unit} from ${first} of tensor "${tensor}" of ${this.name}: ` +
          (of < 0 ? "it is a scalar" : `it has ${of} ${unit}`),
      );
    }
  }
}

/** Magic bytes of files that users often pass instead of a model, and the remedies. */
const UNSUPPORTED_FORMATS: readonly (readonly [magic: string, problem: string])[] = [
  [
    "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
    "uses torch's legacy format: load it and save it again with torch 1.6 or later",
  ],
  ["GGUF", "is a GGUF file, which is not supported: use the model's .pth or .safetensors file"],
  ...["ggml", "lmgg", "fmgg", "tjgg"].map((magic): [string, string] => [
    magic,
    "is a ggml file, which is not supported: use the model's .pth or .safetensors file",
  ]),
  ["<", "is a web page or XML instead of a model: the download failed; download it again"],
  [
    "version https://git-lfs",
    "is a Git LFS pointer instead of the file: run `git lfs pull`, or download the file itself",
  ],
  ["{", "is JSON without tensors: pass the model file, or the shards that it lists"],
  ["\x1f\x8b", "is compressed with gzip: decompress it first"],
  ["\x28\xb5\x2f\xfd", "is compressed with zstd: decompress it first"],
  ["\xfd7zXZ", "is compressed with xz: decompress it first"],
  ["BZh", "is compressed with bzip2: decompress it first"],
  ["7z\xbc\xaf", "is a 7z archive: unpack it first"],
  ["\x80", "is a bare pickle: load it in Python and save it with torch.save or safetensors"],
];

async function detectFormat(source: ByteSource): Promise<CheckpointFormat> {
  const head = await source.read(0, Math.min(source.size, 32));
  const text = String.fromCharCode(...head);
  if (text.startsWith("PK\x03\x04") || text.startsWith("PK\x05\x06")) return "pth";
  if (text[8] === "{") return "safetensors";
  const unsupported = UNSUPPORTED_FORMATS.find(([magic]) => text.startsWith(magic));
  throw invalidCheckpoint(
    source.name,
    unsupported?.[1] ??
      (source.size === 0
        ? "is empty: download it again"
        : "is neither a .pth nor a .safetensors file according to its first bytes"),
  );
}

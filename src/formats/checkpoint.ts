/**
 * The one interface to a model file, whatever its format, and the choice of format by content.
 * Tensors are listed at once and read on demand; a file is never loaded whole.
 */

import { InferenceError } from "../core/errors.ts";
import { type ByteSource, invalidCheckpoint } from "./byte_source.ts";
import { readSafetensorsLayout } from "./safetensors.ts";
import type { TensorInfo, TensorLayout } from "./tensor_layout.ts";
import { readBytes, readFloats, rowsOf } from "./tensor_reader.ts";
import { readTorchLayout } from "./torch_file.ts";

export type { TensorInfo } from "./tensor_layout.ts";

/** Formats of model files: PyTorch's zip files, and safetensors. */
export type CheckpointFormat = "pth" | "safetensors";

/** An open model file. Every method may throw InferenceError `invalid_checkpoint`. */
export interface Checkpoint {
  /** The source's name. */
  readonly name: string;
  /** What the content is, whatever the name says. */
  readonly format: CheckpointFormat;
  /** The `__metadata__` of a safetensors file; texts and numbers beside the tensors of a .pth. */
  readonly metadata: Readonly<Record<string, string>>;
  /** By name, in the file's order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;

  /** All elements in row-major order, widened to float32; NaN and infinities are refused. */
  read(name: string): Promise<Float32Array>;

  /**
   * As {@linkcode read}, of rows `[firstRow, firstRow + rowCount)` along the first dimension. Of a
   * row-major tensor only these rows' bytes are read, in pieces of at most 16 MiB.
   *
   * @throws InferenceError `invalid_value` for rows outside the tensor, or a scalar.
   */
  readRows(name: string, firstRow: number, rowCount: number): Promise<Float32Array>;

  /**
   * Little-endian bytes in the file's dtype, of the elements in row-major order: `byteOffset` counts
   * in that order, whatever the strides in the file. Cheap for a row-major tensor; of another one the
   * whole tensor is gathered first, which needs a dtype that can be read.
   *
   * @throws InferenceError `invalid_value` for a range outside the tensor.
   */
  readRaw(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array>;

  /** Closes the source. */
  close(): Promise<void>;
}

/**
 * Opens a .pth or .safetensors file, told apart by content. The checkpoint owns the source from here
 * on, and closes it also where opening fails.
 *
 * @throws InferenceError `invalid_checkpoint` for anything but a whole, well-formed file.
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
    this.#checkPart(name, "rows", { first: firstRow, count: rowCount, of: layout.shape[0] ?? -1 });
    const rowLength = layout.shape.slice(1).reduce((product, size) => product * size, 1);
    const rows = rowsOf(layout, firstRow, rowCount);
    return await readFloats(this.#source, rows, firstRow * rowLength);
  }

  async readRaw(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array> {
    const layout = this.#layout(name);
    this.#checkPart(name, "bytes", { first: byteOffset, count: byteLength, of: layout.byteLength });
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

  #checkPart(
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

/** First bytes of files that are often met in a model's place, and what to do about them. */
const FOREIGN: readonly (readonly [magic: string, problem: string])[] = [
  [
    "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
    "is in torch's old format: load it and save it again with torch.save of torch 1.6 or later",
  ],
  ["GGUF", "is a GGUF file, which is not supported: use the model's .pth or .safetensors file"],
  ...["ggml", "lmgg", "fmgg", "tjgg"].map((magic): [string, string] => [
    magic,
    "is a ggml file, which is not supported: use the model's .pth or .safetensors file",
  ]),
  ["<", "is a web page or XML instead of the file: the download was refused, download it again"],
  [
    "version https://git-lfs",
    "is a Git LFS pointer instead of the file: run `git lfs pull`, or download the file itself",
  ],
  ["{", "is JSON and holds no tensors: name the model's file, or the shards that it lists"],
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
  const foreign = FOREIGN.find(([magic]) => text.startsWith(magic));
  throw invalidCheckpoint(
    source.name,
    foreign?.[1] ??
      (source.size === 0
        ? "is empty: fetch it again"
        : "is neither a .pth nor a .safetensors file, by its first bytes"),
  );
}

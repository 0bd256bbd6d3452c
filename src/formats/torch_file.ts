/**
 * Reads torch's .pth format: a zip archive with a pickle that describes the tensors, and uncompressed
 * entries with their storages, which are read directly from the file. CRCs are not checked because
 * torch can be configured not to write them.
 */

import { Uint8ArrayReader, ZipReader } from "@zip.js/zip.js/lib/zip-core.js";
import { InferenceError } from "../core/errors.ts";
import { type ByteSource, invalidCheckpoint } from "./byte_source.ts";
import { MAX_PICKLE_BYTES } from "./pickle.ts";
import { findStateDict } from "./state_dict.ts";
import { DTYPE_BYTES, elementCount, type TensorLayout } from "./tensor_layout.ts";
import { readTorchPickle, type TorchTensor } from "./torch_pickle.ts";
import { directoryAsArchive, findZipDirectory } from "./zip_directory.ts";

/** Maximum number of entries, and maximum size of the directory; a storage takes about 100 bytes. */
const MAX_ENTRIES = 65_535;
const MAX_DIRECTORY_BYTES = 16 * 2 ** 20;

const LOCAL_HEADER_BYTES = 30;
const LOCAL_HEADER_MAGIC = 0x04034b50;

/** Maximum ratio of tensor bytes to file size; tied weights share storages, so it exceeds 1. */
const MAX_SHARING = 4;

/** A stored entry of the archive. */
interface Entry {
  /** Offset of its local header. */
  header: number;
  size: number;
  /** Exclusive upper bound of its bytes in the file. */
  limit: number;
}

/**
 * Reads the layouts of the tensors of a .pth file, in file order, and the metadata next to them. Checks
 * the whole directory and the position of every tensor, but reads no weights.
 *
 * @throws InferenceError `invalid_checkpoint`
 */
export async function readTorchLayout(source: ByteSource): Promise<{
  layouts: Map<string, TensorLayout>;
  metadata: Record<string, string>;
}> {
  const entries = await readDirectory(source);
  const prefix = findPrefix(source, entries);
  await checkByteOrder(source, entries.get(`${prefix}byteorder`));

  const pickle = entries.get(`${prefix}data.pkl`)!;
  if (pickle.size > MAX_PICKLE_BYTES) {
    throw invalidCheckpoint(
      source.name,
      `its data.pkl has ${pickle.size} bytes, the maximum is ${MAX_PICKLE_BYTES}; ` +
        "save the tensors alone",
    );
  }
  const bytes = await source.read(await locate(source, pickle), pickle.size);
  const pickled = readTorchPickle(bytes, source.name);
  const { tensors, metadata } = findStateDict(pickled, source.name);

  const starts = new Map<string, number>();
  const layouts = new Map<string, TensorLayout>();
  for (const [name, tensor] of tensors) {
    const { key } = tensor.storage;
    const entry = entries.get(`${prefix}data/${key}`);
    if (!entry) {
      throw invalidCheckpoint(
        source.name,
        `tensor "${name}" is in data/${key}, which the archive does not have: download the file again`,
      );
    }
    const start = starts.get(key) ?? await locate(source, entry);
    starts.set(key, start);
    layouts.set(name, place(source, name, { tensor, start, size: entry.size }));
  }
  checkTotal(source, layouts);
  return { layouts, metadata };
}

/** Returns a tensor's layout in the file, after checking that it is inside its storage. */
function place(
  source: ByteSource,
  name: string,
  { tensor, start, size }: { tensor: TorchTensor; start: number; size: number },
): TensorLayout {
  const { storage, view: { offset, shape, strides } } = tensor;
  const itemSize = DTYPE_BYTES.get(storage.dtype)!;
  const count = elementCount(source.name, name, shape);
  const last = shape.reduce((sum, size, d) => sum + (size - 1) * strides[d], offset);
  const end = count === 0 ? offset : last + 1;
  if (storage.elements * itemSize > size || end > storage.elements) {
    throw invalidCheckpoint(
      source.name,
      `tensor "${name}" ends at element ${end} of a storage of ${storage.elements} elements in ` +
        `${size} bytes: the file is damaged; download it again`,
    );
  }
  if (count > storage.elements || !isInjective(shape, strides)) {
    throw invalidCheckpoint(
      source.name,
      `tensor "${name}" of shape [${shape}] repeats the elements of a storage of ` +
        `${storage.elements}: save tensor.contiguous() instead`,
    );
  }
  return {
    name,
    dtype: storage.dtype,
    shape,
    byteLength: count * itemSize,
    offset: start + offset * itemSize,
    strides,
  };
}

/** Returns whether no two indices address the same element: each stride exceeds the extent within it. */
function isInjective(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  const steps = strides.map((stride, d) => ({ stride, size: shape[d] }))
    .filter(({ size }) => size > 1)
    .sort((a, b) => a.stride - b.stride);
  let last = 0;
  return steps.every(({ stride, size }) => {
    const over = stride > last;
    last += (size - 1) * stride;
    return over;
  });
}

/** Limits the total size: many views of one storage could take far more memory than the file's size. */
function checkTotal(source: ByteSource, layouts: ReadonlyMap<string, TensorLayout>): void {
  let total = 0;
  for (const { byteLength } of layouts.values()) total += byteLength;
  if (total <= MAX_SHARING * source.size) return;
  throw invalidCheckpoint(
    source.name,
    `its ${layouts.size} tensors take ${total} bytes in a file of ${source.size} because they share ` +
      "storages: save each as tensor.clone()",
  );
}

async function readDirectory(source: ByteSource): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  try {
    const { offset, size, entries: count } = await findZipDirectory(source);
    if (size > MAX_DIRECTORY_BYTES || count > MAX_ENTRIES) {
      throw invalidCheckpoint(
        source.name,
        `it is a zip archive with a directory of ${count} entries in ${size} bytes, more than ` +
          `${MAX_ENTRIES} entries or ${MAX_DIRECTORY_BYTES} bytes: save its tensors alone`,
      );
    }
    const directory = directoryAsArchive(await source.read(offset, size), count);
    // Nothing is extracted to a file system, so any name is safe.
    const zip = new ZipReader(new Uint8ArrayReader(directory), {
      strictness: "balanced",
      filenameValidation: "tolerant",
    });
    for await (const entry of zip.getEntriesGenerator()) {
      if (entry.directory) continue;
      if (entry.compressionMethod !== 0 || entry.encrypted) {
        throw invalidCheckpoint(
          source.name,
          `it is a zip archive whose entry ${entry.filename} is compressed or encrypted, ` +
            "which torch.save never writes: unpack it and use the model file inside",
        );
      }
      if (entry.compressedSize !== entry.uncompressedSize) {
        throw new Error(`entry ${entry.filename} has inconsistent sizes`);
      }
      if (entries.has(entry.filename)) throw new Error(`entry ${entry.filename} occurs twice`);
      entries.set(entry.filename, {
        header: entry.offset,
        size: entry.uncompressedSize,
        limit: source.size,
      });
    }
  } catch (cause) {
    if (cause instanceof InferenceError) throw cause;
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw invalidCheckpoint(
      source.name,
      `it is not a zip archive of torch.save (${problem}): the file is incomplete or ` +
        "damaged; download it again, or save it again with torch.save",
      { cause },
    );
  }
  checkOverlap(source, entries);
  return entries;
}

/** Checks that entries do not overlap: each must end before the next one's header. */
function checkOverlap(source: ByteSource, entries: ReadonlyMap<string, Entry>): void {
  const inOrder = [...entries].sort(([, a], [, b]) => a.header - b.header);
  inOrder.forEach(([name, entry], i) => {
    if (i + 1 < inOrder.length) entry.limit = inOrder[i + 1][1].header;
    if (!(entry.header >= 0 && entry.header + LOCAL_HEADER_BYTES + entry.size <= entry.limit)) {
      throw invalidCheckpoint(
        source.name,
        `zip entry ${name} of ${entry.size} bytes at ${entry.header} reaches past ${entry.limit}: ` +
          "the file is incomplete or damaged; download it again",
      );
    }
  });
}

/** Returns the offset of an entry's data, after its local header. */
async function locate(source: ByteSource, { header, size, limit }: Entry): Promise<number> {
  const bytes = await source.read(header, LOCAL_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = header + LOCAL_HEADER_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (view.getUint32(0, true) !== LOCAL_HEADER_MAGIC || start + size > limit) {
    throw invalidCheckpoint(
      source.name,
      `has no zip entry of ${size} bytes at ${header}: the file is damaged; download it again`,
    );
  }
  return start;
}

/** Returns the archive's top folder with its slash, or an empty string if there is none. */
function findPrefix(source: ByteSource, entries: ReadonlyMap<string, Entry>): string {
  const names = [...entries.keys()];
  const pickles = names.filter((name) => /^([^/]*\/)?data\.pkl$/.test(name));
  if (names.some((name) => /^([^/]*\/)?constants\.pkl$/.test(name))) {
    throw invalidCheckpoint(
      source.name,
      "it is a TorchScript module, which is a program: load it with torch.jit.load and save its " +
        "state_dict() with torch.save",
    );
  }
  const inner = names.find((name) => /\.(pth|pt|bin|safetensors|st)$/.test(name));
  if (pickles.length === 0 && inner !== undefined) {
    throw invalidCheckpoint(
      source.name,
      `it is a zip archive that contains ${inner}: unpack it and use that file`,
    );
  }
  if (pickles.length !== 1) {
    throw invalidCheckpoint(
      source.name,
      `it is a zip archive with ${pickles.length} data.pkl files instead of one: ` +
        "use a file written by torch.save",
    );
  }
  return pickles[0].slice(0, -"data.pkl".length);
}

async function checkByteOrder(source: ByteSource, entry: Entry | undefined): Promise<void> {
  if (!entry) return; // Older versions of torch always write little-endian.
  const bytes = await source.read(await locate(source, entry), Math.min(entry.size, 16));
  const order = new TextDecoder().decode(bytes).trim();
  if (order !== "little") {
    throw invalidCheckpoint(
      source.name,
      `its byte order is ${JSON.stringify(order)}, but only "little" is supported: ` +
        "save it again on a little-endian machine",
    );
  }
}

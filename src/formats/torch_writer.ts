/**
 * Writes a .pth piece by piece, as torch.save does: a zip archive with a pickle that describes a dict
 * of tensors, and a storage for each. Sizes are known beforehand, so that nothing is held in memory
 * but the piece that is being written.
 */

import type { ByteSink } from "./byte_sink.ts";
import { byteLengths, type NewTensor } from "./new_tensor.ts";
import { PickleWriter } from "./pickle_writer.ts";
import { contiguousStrides } from "./tensor_layout.ts";
import { StoredZipWriter } from "./zip_writer.ts";

/** Torch's storage classes for the dtypes that are written. */
const STORAGE_CLASSES = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };

export type TorchDtype = keyof typeof STORAGE_CLASSES;

export interface NewTorchTensor extends NewTensor {
  readonly dtype: TorchDtype;
}

export interface TorchFileOptions<T extends NewTorchTensor> {
  /**
   * The bytes of a tensor in pieces of any size, row-major and little-endian; a piece must not change
   * after it was given. Called for one tensor after the other, in their order.
   */
  bytesOf: (tensor: T) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Writes zip64 records where none is needed, for tests. */
  zip64?: boolean;
}

/** A tensor as a pickle describes it: a view of a storage, offset and strides in elements. */
export interface PickledTensor {
  storage: { dtype: TorchDtype; key: string; elements: number };
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
}

/** The folder of all entries: torch's own choice for a file that has no name. */
const FOLDER = "archive";

/**
 * Writes a state dict of `tensors`. What `sink` or `bytesOf` throws passes through; a plain error
 * where `bytesOf` gives more or fewer bytes than a tensor has.
 */
export async function writeTorchFile<T extends NewTorchTensor>(
  sink: ByteSink,
  tensors: readonly T[],
  { bytesOf, zip64 = false }: TorchFileOptions<T>,
): Promise<void> {
  const lengths = byteLengths(tensors);
  const zip = new StoredZipWriter(sink, { zip64 });
  const addBytes = (name: string, bytes: Uint8Array) =>
    zip.add(`${FOLDER}/${name}`, { pieces: [bytes], byteLength: bytes.length });
  const encoder = new TextEncoder();
  await addBytes("data.pkl", pickleStateDict(tensors));
  await addBytes("byteorder", encoder.encode("little"));
  for (const [key, tensor] of tensors.entries()) {
    await zip.add(`${FOLDER}/data/${key}`, {
      pieces: bytesOf(tensor),
      byteLength: lengths.get(tensor.name)!,
    });
  }
  await addBytes("version", encoder.encode("3\n"));
  await zip.close();
}

function pickleStateDict(tensors: readonly NewTorchTensor[]): Uint8Array {
  const pickle = new PickleWriter().op("}").memo().op("(");
  for (const [key, { name, dtype, shape }] of tensors.entries()) {
    const elements = shape.reduce((a, b) => a * b, 1);
    pickleTensor(pickle.text(name), {
      storage: { dtype, key: `${key}`, elements },
      offset: 0,
      shape,
      strides: contiguousStrides(shape),
    });
  }
  return pickle.op("u").op(".").bytes();
}

/** Adds the call that makes a tensor, which needs no gradient, over a storage of the archive. */
export function pickleTensor(
  pickle: PickleWriter,
  { storage: { dtype, key, elements }, offset, shape, strides }: PickledTensor,
): void {
  pickle.global("torch._utils", "_rebuild_tensor_v2").op("(").op("(");
  pickle.text("storage").global("torch", STORAGE_CLASSES[dtype]).text(key).text("cpu");
  pickle.int(elements).op("t").memo().op("Q");
  pickle.int(offset).ints(shape).ints(strides).op("\x89");
  pickle.global("collections", "OrderedDict").op(")").op("R").op("t").op("R");
}

/**
 * Writes a .pth file incrementally, in the layout of torch.save: a zip archive with a pickle that
 * describes a dict of tensors, and one storage per tensor. Sizes are known in advance, so memory holds
 * only the chunk being written.
 */

import type { ByteSink } from "./byte_sink.ts";
import { byteLengths, type NewTensor } from "./new_tensor.ts";
import { PickleWriter } from "./pickle_writer.ts";
import { contiguousStrides } from "./tensor_layout.ts";
import { StoredZipWriter } from "./zip_writer.ts";

/** Torch's storage classes of the supported dtypes. */
const STORAGE_CLASSES = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };

export type TorchDtype = keyof typeof STORAGE_CLASSES;

export interface NewTorchTensor extends NewTensor {
  readonly dtype: TorchDtype;
}

export interface TorchFileOptions<T extends NewTorchTensor> {
  /**
   * Returns the bytes of a tensor in chunks of any size, row-major and little-endian. A chunk must not
   * change after it is yielded. Called once per tensor, in order.
   */
  bytesOf: (tensor: T) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Always writes zip64 records, for tests. */
  zip64?: boolean;
}

/** A tensor in a pickle: a view of a storage, with offset and strides in elements. */
export interface PickledTensor {
  storage: { dtype: TorchDtype; key: string; elements: number };
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
}

/** The folder of all entries, torch's default name. */
const FOLDER = "archive";

/**
 * Writes a state dict of `tensors`. Errors of `sink` and `bytesOf` propagate. Throws a plain error if
 * `bytesOf` yields more or fewer bytes than a tensor has.
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

/** Appends the call that rebuilds a tensor without gradient from a storage of the archive. */
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

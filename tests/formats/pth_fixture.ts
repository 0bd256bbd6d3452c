/** Writes intact and damaged .pth files in memory, so that tests need no Python. */

import { PickleWriter } from "../../src/formats/pickle_writer.ts";
import { contiguousStrides } from "../../src/formats/tensor_layout.ts";
import { pickleTensor, type TorchDtype } from "../../src/formats/torch_writer.ts";
import { writeZip, type ZipEntry } from "./zip_fixture.ts";

export type PthDtype = TorchDtype;

export interface PthTensor {
  dtype: PthDtype;
  shape: readonly number[];
  /** Row-major; rounded to the dtype. */
  data: Float32Array;
}

/** A view of another tensor's storage; offset and strides in elements. */
export interface PthView {
  of: string;
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
}

export interface PthOptions {
  /** Folder name in the archive; "archive" by default. */
  prefix?: string;
  /** 2, the default of torch, or 4. */
  protocol?: 2 | 4;
  /** Key path of the state dict, outermost first. */
  nest?: string | readonly string[];
  /** Adds keys and values to the outermost dict, after the state dict; needs `nest`. */
  beside?: (pickle: PickleWriter) => void;
  /** Strings and numbers in the state dict, before its tensors. */
  scalars?: Readonly<Record<string, string | number>>;
  /** Writes an OrderedDict with a `_metadata` attribute, like `nn.Module.state_dict()`. */
  ordered?: boolean;
  views?: ReadonlyMap<string, PthView>;
  byteOrder?: string;
  /** Writes zip64 end records. */
  zip64?: boolean;
  /** Bytes that replace the pickle. */
  pickle?: Uint8Array;
  /** Changes the archive's entries before it is written. */
  edit?: (entries: ZipEntry[]) => ZipEntry[];
}

/** Writes a .pth file of the tensors, in order. */
export function writePth(
  tensors: ReadonlyMap<string, PthTensor>,
  options: PthOptions = {},
): Uint8Array<ArrayBuffer> {
  const { prefix = "archive", byteOrder = "little", zip64 = false, edit = (all) => all } = options;
  const text = new TextEncoder();
  const entries: ZipEntry[] = [
    { name: `${prefix}/data.pkl`, data: options.pickle ?? writeStateDict(tensors, options) },
    { name: `${prefix}/byteorder`, data: text.encode(byteOrder) },
    ...[...tensors.values()].map(({ dtype, data }, key) => ({
      name: `${prefix}/data/${key}`,
      data: encodeFloats(dtype, data),
    })),
    { name: `${prefix}/version`, data: text.encode("3\n") },
  ];
  return writeZip(edit(entries), { zip64 });
}

function writeStateDict(
  tensors: ReadonlyMap<string, PthTensor>,
  options: PthOptions,
): Uint8Array {
  const { protocol = 2, nest = [], beside, ordered = false, views = new Map() } = options;
  const pickle = new PickleWriter(protocol);
  const keys = new Map([...tensors.keys()].map((name, key) => [name, key]));
  const tensor = (name: string, of: string, view: Omit<PthView, "of">) => {
    const { dtype, data } = tensors.get(of)!;
    const storage = { dtype, key: `${keys.get(of)}`, elements: data.length };
    pickleTensor(pickle.text(name), { ...view, storage });
  };
  const outer = typeof nest === "string" ? [nest] : nest;
  for (const key of outer) pickle.op("}").text(key);
  if (ordered) pickle.global("collections", "OrderedDict").op(")").op("R").memo();
  else pickle.op("}").memo();
  pickle.op("(");
  for (const [name, value] of Object.entries(options.scalars ?? {})) {
    pickle.text(name);
    if (typeof value === "string") pickle.text(value);
    else pickle.float(value);
  }
  for (const [name, { shape }] of tensors) {
    tensor(name, name, { offset: 0, shape, strides: contiguousStrides(shape) });
  }
  for (const [name, view] of views) tensor(name, view.of, view);
  pickle.op("u");
  if (ordered) pickle.op("}").text("_metadata").op("}").op("s").op("b");
  for (const _ of outer) pickle.op("s");
  if (beside) {
    pickle.op("(");
    beside(pickle);
    pickle.op("u");
  }
  return pickle.op(".").bytes();
}

/** Rounds values to a dtype and returns their little-endian bytes. */
export function encodeFloats(dtype: PthDtype, data: Float32Array): Uint8Array {
  if (dtype === "F32") return new Uint8Array(Float32Array.from(data).buffer);
  if (dtype === "F16") return new Uint8Array(Float16Array.from(data).buffer);
  const bits = new Uint32Array(Float32Array.from(data).buffer);
  // Rounds to nearest, ties to even.
  const rounded = Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16);
  return new Uint8Array(rounded.buffer);
}

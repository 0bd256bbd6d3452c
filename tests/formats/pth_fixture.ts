/** Writes .pth files as torch.save does, so that tests need no Python. */

import { concat, writeZip, type ZipEntry } from "./zip_fixture.ts";

export type PthDtype = "F32" | "F16" | "BF16";

export interface PthTensor {
  dtype: PthDtype;
  shape: readonly number[];
  /** Row-major; rounded to the dtype. */
  data: Float32Array;
}

/** A second tensor over another one's storage; offset and strides in elements. */
export interface PthView {
  of: string;
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
}

export interface PthOptions {
  /** Folder name in the archive; "archive" by default. */
  prefix?: string;
  /** 2, as torch writes by default, or 4. */
  protocol?: 2 | 4;
  /** Key of an outer dict to put the state dict under. */
  nest?: string;
  /** As `nn.Module.state_dict()`: an OrderedDict with a `_metadata` attribute. */
  ordered?: boolean;
  views?: ReadonlyMap<string, PthView>;
  byteOrder?: string;
  /** Bytes to use in place of the pickle. */
  pickle?: Uint8Array;
  /** Last changes to the archive's entries. */
  edit?: (entries: ZipEntry[]) => ZipEntry[];
}

/** A .pth file of the tensors, in their order. */
export function writePth(
  tensors: ReadonlyMap<string, PthTensor>,
  options: PthOptions = {},
): Uint8Array<ArrayBuffer> {
  const { prefix = "archive", byteOrder = "little", edit = (entries) => entries } = options;
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
  return writeZip(edit(entries));
}

const STORAGES = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };

function writeStateDict(
  tensors: ReadonlyMap<string, PthTensor>,
  { protocol = 2, nest, ordered = false, views = new Map() }: PthOptions,
): Uint8Array {
  const pickle = new PickleWriter(protocol);
  const keys = new Map([...tensors.keys()].map((name, key) => [name, key]));
  const tensor = (name: string, of: string, view: Omit<PthView, "of">) => {
    const { dtype, data } = tensors.get(of)!;
    pickle.text(name).global("torch._utils", "_rebuild_tensor_v2").op("(").op("(");
    pickle.text("storage").global("torch", STORAGES[dtype]).text(`${keys.get(of)}`).text("cpu");
    pickle.int(data.length).op("t").memo().op("Q");
    pickle.int(view.offset).ints(view.shape).ints(view.strides).op("\x89");
    pickle.global("collections", "OrderedDict").op(")").op("R").op("t").op("R");
  };
  if (nest !== undefined) pickle.op("}").text(nest);
  if (ordered) pickle.global("collections", "OrderedDict").op(")").op("R").memo();
  else pickle.op("}").memo();
  pickle.op("(");
  for (const [name, { shape }] of tensors) {
    tensor(name, name, { offset: 0, shape, strides: rowMajor(shape) });
  }
  for (const [name, view] of views) tensor(name, view.of, view);
  pickle.op("u");
  if (ordered) pickle.op("}").text("_metadata").op("}").op("s").op("b");
  if (nest !== undefined) pickle.op("s");
  return pickle.op(".").bytes();
}

/** Writes pickle opcodes one by one. */
export class PickleWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #protocol: 2 | 4;
  #memos = 0;

  constructor(protocol: 2 | 4 = 2) {
    this.#protocol = protocol;
    this.raw(0x80, protocol);
    // A frame that claims less than the rest is legal, and a reader may ignore it.
    if (protocol === 4) this.raw(0x95, 1, 0, 0, 0, 0, 0, 0, 0);
  }

  raw(...bytes: number[]): this {
    this.#parts.push(Uint8Array.from(bytes));
    return this;
  }

  /** An opcode without an argument, by its character. */
  op(code: string): this {
    return this.raw(code.charCodeAt(0));
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    if (this.#protocol === 4 && bytes.length < 256) this.raw(0x8c, bytes.length);
    else this.raw(0x58, ...new Uint8Array(Uint32Array.of(bytes.length).buffer));
    this.#parts.push(bytes);
    return this;
  }

  int(value: number): this {
    if (value >= 0 && value < 256) return this.raw(0x4b, value);
    if (value >= 0 && value < 65536) return this.raw(0x4d, value & 255, value >> 8);
    const bytes = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
    return this.raw(0x8a, 8, ...bytes);
  }

  /** A tuple of integers, by the opcodes that Python would use. */
  ints(values: readonly number[]): this {
    if (values.length === 0) return this.op(")");
    if (values.length > 3) this.op("(");
    for (const value of values) this.int(value);
    return values.length > 3 ? this.op("t") : this.raw(0x84 + values.length);
  }

  global(module: string, name: string): this {
    if (this.#protocol === 4) return this.text(module).text(name).raw(0x93);
    this.#parts.push(new TextEncoder().encode(`c${module}\n${name}\n`));
    return this;
  }

  /** Remembers the top of the stack. */
  memo(): this {
    if (this.#protocol === 4) return this.raw(0x94);
    return this.raw(0x72, ...new Uint8Array(Uint32Array.of(this.#memos++).buffer));
  }

  bytes(): Uint8Array {
    return concat(this.#parts);
  }
}

/** Little-endian bytes of values rounded to a dtype. */
export function encodeFloats(dtype: PthDtype, data: Float32Array): Uint8Array {
  if (dtype === "F32") return new Uint8Array(Float32Array.from(data).buffer);
  if (dtype === "F16") return new Uint8Array(Float16Array.from(data).buffer);
  const bits = new Uint32Array(Float32Array.from(data).buffer);
  // To the nearest, ties to even.
  const rounded = Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16);
  return new Uint8Array(rounded.buffer);
}

export function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
}

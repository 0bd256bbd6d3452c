/**
 * A pickle reader that executes no code. Pickle is a small stack language. This reader supports the
 * opcodes that data needs (protocols 2 to 5) and looks globals up in an allow-list of the caller. Any
 * other global, such as `os.system`, is an error.
 *
 * Time and memory are bounded: bytes and opcodes are limited, each opcode creates at most one value,
 * references are not copied, and nothing recurses.
 */

import { invalidCheckpoint } from "./byte_source.ts";
import { PickleGlobal, PickleInert, type PickleValue } from "./pickle_value.ts";

/** How to read a pickle. */
export interface PickleOptions {
  /** Name of the file in error messages. */
  name: string;
  /** The allow-list, by "module name". */
  globals: ReadonlyMap<string, PickleGlobal>;
  /** Resolves a persistent id. */
  persistent: (id: PickleValue) => PickleValue;
}

/** Maximum size of a pickle in bytes; a large model needs some hundred thousand. */
export const MAX_PICKLE_BYTES = 16 * 2 ** 20;
/** Maximum number of opcodes, and therefore of values; a tensor takes about thirty. */
const MAX_OPCODES = 1_000_000;
/** Maximum number of open marks, which is the nesting depth of a value. */
const MAX_DEPTH = 1000;
/** Maximum bytes of an integer; more than any size or offset needs. */
const MAX_INTEGER_BYTES = 16;

/**
 * Reads the value of a pickle.
 *
 * @throws InferenceError `invalid_checkpoint` for a damaged pickle, an unsupported opcode, or a global
 * that is not in `options.globals`.
 */
export function readPickle(bytes: Uint8Array, options: PickleOptions): PickleValue {
  if (bytes.length > MAX_PICKLE_BYTES) {
    throw invalidCheckpoint(
      options.name,
      `its pickle has ${bytes.length} bytes, the maximum is ${MAX_PICKLE_BYTES}; ` +
        "save the tensors alone",
    );
  }
  return new PickleMachine(bytes, options).run();
}

class PickleMachine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #options: PickleOptions;
  readonly #memo = new Map<number, PickleValue>();
  /** Stacks below the open marks; opcodes cannot reach values below a mark. */
  readonly #outer: PickleValue[][] = [];
  #stack: PickleValue[] = [];
  #at = 0;
  #opcodeAt = 0;

  constructor(bytes: Uint8Array, options: PickleOptions) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#options = options;
  }

  run(): PickleValue {
    for (let count = 0; count < MAX_OPCODES; count++) {
      this.#opcodeAt = this.#at;
      const opcode = this.#uint8();
      if (opcode === 0x2e) return this.#pop(); // STOP
      this.#execute(opcode);
    }
    throw this.#error(`it has more than ${MAX_OPCODES} opcodes`);
  }

  #error(problem: string): Error {
    return invalidCheckpoint(
      this.#options.name,
      `its pickle cannot be read at byte ${this.#opcodeAt}: ${problem}`,
    );
  }

  /** Consumes `length` bytes and returns their offset. */
  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.#error("unexpected end");
    this.#at = start + length;
    return start;
  }

  #uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #uint64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  #text(length: number): string {
    const start = this.#take(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
        .decode(this.#bytes.subarray(start, start + length));
    } catch {
      throw this.#error("it contains a string that is not UTF-8");
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#error("unexpected end");
    const text = this.#text(end - this.#at);
    this.#take(1);
    return text;
  }

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined) throw this.#error("its stack is empty");
    return value;
  }

  #mark(): void {
    if (this.#outer.length === MAX_DEPTH) throw this.#error("it is nested too deeply");
    this.#outer.push(this.#stack);
    this.#stack = [];
  }

  /** Removes the last mark and returns the values above it. */
  #popMark(): PickleValue[] {
    const values = this.#stack;
    const outer = this.#outer.pop();
    if (!outer) throw this.#error("it has no mark");
    this.#stack = outer;
    return values;
  }

  #popTuple(length: number): PickleValue[] {
    if (this.#stack.length < length) throw this.#error("its stack is empty");
    return this.#stack.splice(this.#stack.length - length);
  }

  #popPair(): [PickleValue, PickleValue] {
    const second = this.#pop();
    return [this.#pop(), second];
  }

  #bytesOf(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  #integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) throw this.#error(`it contains an integer of ${length} bytes`);
    const start = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = value << 8n | BigInt(this.#bytes[start + i]);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #memoize(index: number): void {
    const value = this.#stack.at(-1);
    if (value === undefined) throw this.#error("its stack is empty");
    this.#memo.set(index, value);
  }

  #pushMemo(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) {
      throw this.#error(`it references memo ${index}, which does not exist`);
    }
    this.#push(value);
  }

  #append(values: readonly PickleValue[]): void {
    const list = this.#stack.at(-1);
    if (!Array.isArray(list)) throw this.#error("it appends to a value that is not a list");
    for (const value of values) list.push(value);
  }

  #setItems(values: readonly PickleValue[]): void {
    const dict = this.#stack.at(-1);
    if (!(dict instanceof Map)) throw this.#error("it sets items of a value that is not a dict");
    if (values.length % 2 !== 0) throw this.#error("it contains a key without a value");
    for (let i = 0; i < values.length; i += 2) dict.set(values[i], values[i + 1]);
  }

  #global(module: PickleValue, name: PickleValue): void {
    if (typeof module !== "string" || typeof name !== "string") {
      throw this.#error("the name of a global is not a string");
    }
    const value = this.#options.globals.get(`${module} ${name}`);
    if (!value) {
      const shown = JSON.stringify(`${module}.${name}`.slice(0, 200));
      throw this.#error(
        `it references ${shown}, which is not part of a model's weights and could run code; ` +
          "use a checkpoint with tensors only, such as a .safetensors file, or save " +
          "model.state_dict() alone",
      );
    }
    this.#push(value);
  }

  #reduce(): void {
    const args = this.#pop();
    const callee = this.#pop();
    if (!(callee instanceof PickleGlobal) || !callee.call || !Array.isArray(args)) {
      throw this.#error("it calls a value that is not callable");
    }
    this.#push(callee.call(args));
  }

  /** Drops attributes of an object, such as a state dict's `_metadata`; none are needed. */
  #build(): void {
    this.#pop();
    const object = this.#stack.at(-1);
    if (!(object instanceof Map || object instanceof PickleInert)) {
      throw this.#error("it sets attributes of a value that is not an object");
    }
  }

  #protocol(): void {
    const version = this.#uint8();
    if (version > 5) throw this.#error(`protocol ${version} is not supported; use 2 to 5`);
  }

  #execute(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        return this.#protocol();
      case 0x95: // FRAME: a hint for buffering
        return void this.#uint64();
      case 0x28: // MARK
        return this.#mark();
      case 0x30: // POP
        return void this.#pop();
      case 0x31: // POP_MARK
        return void this.#popMark();
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x4a: // BININT
        return this.#push(this.#view.getInt32(this.#take(4), true));
      case 0x4b: // BININT1
        return this.#push(this.#uint8());
      case 0x4d: // BININT2
        return this.#push(this.#view.getUint16(this.#take(2), true));
      case 0x8a: // LONG1
        return this.#push(this.#integer(this.#uint8()));
      case 0x8b: // LONG4
        return this.#push(this.#integer(this.#uint32()));
      case 0x47: // BINFLOAT
        return this.#push(this.#view.getFloat64(this.#take(8), false));
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.#uint8()));
      case 0x58: // BINUNICODE
        return this.#push(this.#text(this.#uint32()));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#uint64()));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#bytesOf(this.#uint8()));
      case 0x42: // BINBYTES
        return this.#push(this.#bytesOf(this.#uint32()));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#push(this.#bytesOf(this.#uint64()));
      case 0x29: // EMPTY_TUPLE
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        return this.#push([]);
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push(this.#popTuple(opcode - 0x84));
      case 0x74: // TUPLE
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        return this.#push(this.#popMark());
      case 0x61: // APPEND
        return this.#append([this.#pop()]);
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        return this.#append(this.#popMark());
      case 0x7d: // EMPTY_DICT
        return this.#push(new Map());
      case 0x73: // SETITEM
        return this.#setItems(this.#popPair());
      case 0x75: // SETITEMS
        return this.#setItems(this.#popMark());
      case 0x71: // BINPUT
        return this.#memoize(this.#uint8());
      case 0x72: // LONG_BINPUT
        return this.#memoize(this.#uint32());
      case 0x94: // MEMOIZE
        return this.#memoize(this.#memo.size);
      case 0x68: // BINGET
        return this.#pushMemo(this.#uint8());
      case 0x6a: // LONG_BINGET
        return this.#pushMemo(this.#uint32());
      case 0x63: // GLOBAL
        return this.#global(this.#line(), this.#line());
      case 0x93: // STACK_GLOBAL
        return this.#global(...this.#popPair());
      case 0x51: // BINPERSID
        return this.#push(this.#options.persistent(this.#pop()));
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ: equivalent to a call for plain data
        return this.#reduce();
      case 0x62: // BUILD
        return this.#build();
      default:
        throw this.#error(`opcode 0x${opcode.toString(16)} is not supported`);
    }
  }
}

/** Writes pickles opcode by opcode, in protocol 2 or 4. The caller is responsible for the semantics. */

/** A pickle being written. Every method except `bytes` appends to it and returns the writer. */
export class PickleWriter {
  readonly #bytes: number[] = [];
  readonly #protocol: 2 | 4;
  #memos = 0;

  constructor(protocol: 2 | 4 = 2) {
    this.#protocol = protocol;
    this.raw(0x80, protocol);
    // A frame shorter than the rest is legal, and readers may ignore it.
    if (protocol === 4) this.raw(0x95, 1, 0, 0, 0, 0, 0, 0, 0);
  }

  raw(...bytes: number[]): this {
    return this.#add(bytes);
  }

  /** Appends an opcode without an argument, given as its character. */
  op(code: string): this {
    return this.raw(code.charCodeAt(0));
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    if (this.#protocol === 4 && bytes.length < 256) this.raw(0x8c, bytes.length);
    else this.raw(0x58, ...new Uint8Array(Uint32Array.of(bytes.length).buffer));
    return this.#add(bytes);
  }

  int(value: number): this {
    if (value >= 0 && value < 256) return this.raw(0x4b, value);
    if (value >= 0 && value < 65536) return this.raw(0x4d, value & 255, value >> 8);
    const bytes = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
    return this.raw(0x8a, 8, ...bytes);
  }

  float(value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, false);
    return this.raw(0x47, ...bytes);
  }

  /** Appends a tuple of integers with the opcodes that Python uses. */
  ints(values: readonly number[]): this {
    if (values.length === 0) return this.op(")");
    if (values.length > 3) this.op("(");
    for (const value of values) this.int(value);
    return values.length > 3 ? this.op("t") : this.raw(0x84 + values.length);
  }

  global(module: string, name: string): this {
    if (this.#protocol === 4) return this.text(module).text(name).raw(0x93);
    return this.#add(new TextEncoder().encode(`c${module}\n${name}\n`));
  }

  /** Memoizes the top of the stack. */
  memo(): this {
    if (this.#protocol === 4) return this.raw(0x94);
    return this.raw(0x72, ...new Uint8Array(Uint32Array.of(this.#memos++).buffer));
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }

  #add(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }
}

/**
 * A model's recurrent state as bytes: a header that tells everything, then the numbers, as one of
 * three codecs holds them. `docs/internals/formats.md` describes them for readers in other languages.
 *
 * | bytes    | holds                                 |
 * |----------|---------------------------------------|
 * | 0 to 4   | `RWKS`                                |
 * | 4 to 6   | format version, u16, 2                |
 * | 6 to 8   | codec, u16: 0 is f32, 1 f16, 2 q8     |
 * | 8 to 20  | layers, width, head size, u32 each    |
 *
 * Version 1 had a count of float32 numbers in place of the shape, and a header of 16 bytes; it is
 * read, and no longer written.
 *
 * Everything is little-endian, as is every host that WebGPU runs on, so typed arrays are laid over
 * bytes as they are.
 */

import { InferenceError } from "../../core/errors.ts";
import { decodeFloat16, tryFloat16Bits } from "../../core/float16.ts";
import { decodeRows, encodeRows } from "./int8_rows.ts";

/**
 * How the numbers of a state are held: `f32` to the bit; `f16`, rounded to nearest even; `q8`, each
 * row of the WKV matrix (one head and key channel) as 8-bit codes with one float16 scale, and the
 * token shifts as float16.
 */
export type StateCodec = "f32" | "f16" | "q8";

/** In the order of their numbers in a header. */
export const STATE_CODECS: readonly StateCodec[] = ["f32", "f16", "q8"];

/** Of a state: for each of `layers`, `att_prev[C]`, `wkv[H][N][N]`, `ffn_prev[C]`. */
export interface StateShape {
  /** Blocks of the model. */
  layers: number;
  /** C, a multiple of N. */
  width: number;
  /** N. */
  headSize: number;
}

/** What a stored state's header tells. */
export interface StateHeader {
  /** Of the format. */
  version: 1 | 2;
  /** How its numbers are held. */
  codec: StateCodec;
  /** `null` in version 1, which did not tell. */
  shape: StateShape | null;
  /** Numbers in the state. */
  numbers: number;
  /** Bytes of header and numbers together. */
  bytes: number;
}

const MAGIC = 0x534b5752; // "RWKS"
const HEADER_BYTES = { 1: 16, 2: 20 };

/** Enough of a stored state for {@linkcode readStateHeader}. */
export const STATE_HEADER_BYTES: number = HEADER_BYTES[2];

/**
 * Encodes a state of `layers * C * (N + 2)` numbers. What float16 has no room for (beyond 65504,
 * infinite, NaN) makes the whole state f32, whatever codec was asked for.
 *
 * @throws Error if the state is not of this shape.
 */
export function encodeState(
  state: Float32Array,
  { codec, shape }: { codec: StateCodec; shape: StateShape },
): Uint8Array<ArrayBuffer> {
  const fault = faultOf(shape);
  if (fault !== null) throw new Error(`Cannot encode a state: ${fault}`);
  if (state.length !== stateNumbers(shape)) {
    throw new Error(`Cannot encode ${state.length} numbers as a state of ${shapeText(shape)}`);
  }
  const bytes = new Uint8Array(stateBytes(codec, shape));
  const header = new DataView(bytes.buffer);
  header.setUint32(0, MAGIC, true);
  header.setUint16(4, 2, true);
  header.setUint16(6, STATE_CODECS.indexOf(codec), true);
  header.setUint32(8, shape.layers, true);
  header.setUint32(12, shape.width, true);
  header.setUint32(16, shape.headSize, true);
  const body = bytes.subarray(STATE_HEADER_BYTES);
  let held = true;
  if (codec === "f32") body.set(bytesOf(state));
  else if (codec === "f16") held = tryFloat16Bits(state, halvesOf(body, state.length));
  else held = encodeQ8(state, body, shape);
  return held ? bytes : encodeState(state, { codec: "f32", shape });
}

/**
 * The numbers of a stored state; `bytes` may come from anywhere.
 *
 * @throws InferenceError `state_damaged` unless the header fits what follows, or where a codec
 * would make an infinity or NaN, which `encodeState` never lets it hold.
 */
export function decodeState(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { version, codec, shape, numbers, bytes: expected } = readStateHeader(bytes);
  if (bytes.length !== expected) {
    const what = shape === null ? `${numbers} numbers` : `${shapeText(shape)} as ${codec}`;
    throw damaged(`${what} take ${expected} bytes, and there are ${bytes.length}`);
  }
  let body = bytes.subarray(HEADER_BYTES[version]);
  if (body.byteOffset % 2 !== 0) body = body.slice();
  const state = new Float32Array(numbers);
  if (shape === null || codec === "f32") bytesOf(state).set(body);
  else if (codec === "q8") decodeQ8(body, state, shape);
  else {
    const fault = decodeFloat16(halvesOf(body, numbers), state);
    if (fault >= 0) throw damaged(`number ${fault} is not finite`);
  }
  return state;
}

/**
 * What the header of a stored state tells.
 *
 * @param bytes The state, or its first {@linkcode STATE_HEADER_BYTES} bytes or more.
 * @throws InferenceError `state_damaged`
 */
export function readStateHeader(bytes: Uint8Array): StateHeader {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 8) throw damaged(`${bytes.length} bytes are too few for any header`);
  if (header.getUint32(0, true) !== MAGIC) throw damaged("it does not begin with RWKS");
  const version = header.getUint16(4, true);
  if (version !== 1 && version !== 2) {
    throw damaged(`format version is ${version}, this worker reads 1 and 2`);
  }
  const codec = STATE_CODECS[header.getUint16(6, true)];
  if (codec === undefined || (version === 1 && codec !== "f32")) {
    throw damaged(`version ${version} has no codec ${header.getUint16(6, true)}`);
  }
  if (bytes.length < HEADER_BYTES[version]) {
    throw damaged(`${bytes.length} bytes are too few for its header of ${HEADER_BYTES[version]}`);
  }
  if (version === 1) {
    const numbers = header.getUint32(8, true);
    return { version, codec, shape: null, numbers, bytes: HEADER_BYTES[1] + 4 * numbers };
  }
  const shape = {
    layers: header.getUint32(8, true),
    width: header.getUint32(12, true),
    headSize: header.getUint32(16, true),
  };
  const fault = faultOf(shape);
  if (fault !== null) throw damaged(fault);
  const total = HEADER_BYTES[2] + bodyBytes(codec, shape);
  return { version, codec, shape, numbers: stateNumbers(shape), bytes: total };
}

/** Bytes of a stored state, its header included, where its codec has room for its numbers. */
export function stateBytes(codec: StateCodec, shape: StateShape): number {
  return STATE_HEADER_BYTES + bodyBytes(codec, shape);
}

/** Numbers of a state. */
export function stateNumbers({ layers, width, headSize }: StateShape): number {
  return layers * width * (headSize + 2);
}

function bodyBytes(codec: StateCodec, shape: StateShape): number {
  const { layers, width, headSize } = shape;
  // For each channel a row of codes, its scale, and two token shifts.
  if (codec === "q8") return layers * width * (headSize + 3 * 2);
  return stateNumbers(shape) * (codec === "f16" ? 2 : 4);
}

/** What is wrong with a shape, if something is. */
function faultOf({ layers, width, headSize }: StateShape): string | null {
  for (const [name, value] of Object.entries({ layers, width, headSize })) {
    if (!Number.isInteger(value) || value < 1 || value >= 2 ** 32) return `${name} is ${value}`;
  }
  return width % headSize === 0 ? null : `width ${width} is no multiple of head size ${headSize}`;
}

function shapeText({ layers, width, headSize }: StateShape): string {
  return `${layers} layers of ${width} with head size ${headSize}`;
}

/** Where the parts of a q8 body lie: first all that is 16 bits wide, then the codes. */
function* q8Parts(state: Float32Array, body: Uint8Array, { layers, width, headSize }: StateShape) {
  const halves = halvesOf(body, layers * 3 * width);
  const codes = new Int8Array(body.buffer, body.byteOffset + halves.byteLength);
  const row = width * headSize;
  for (let layer = 0, at = 0; layer < layers; layer++, at += 2 * width + row) {
    const half = (part: number) =>
      halves.subarray((3 * layer + part) * width, (3 * layer + part + 1) * width);
    yield {
      layer,
      attPrev: { numbers: state.subarray(at, at + width), halves: half(0) },
      wkv: {
        numbers: state.subarray(at + width, at + width + row),
        rows: { scales: half(1), codes: codes.subarray(layer * row, (layer + 1) * row) },
      },
      ffnPrev: {
        numbers: state.subarray(at + width + row, at + 2 * width + row),
        halves: half(2),
      },
    };
  }
}

/** @returns Whether float16 has room for every number. */
function encodeQ8(state: Float32Array, body: Uint8Array, shape: StateShape): boolean {
  for (const { attPrev, wkv, ffnPrev } of q8Parts(state, body, shape)) {
    const held = tryFloat16Bits(attPrev.numbers, attPrev.halves) &&
      encodeRows(wkv.numbers, wkv.rows) && tryFloat16Bits(ffnPrev.numbers, ffnPrev.halves);
    if (!held) return false;
  }
  return true;
}

function decodeQ8(body: Uint8Array, state: Float32Array, shape: StateShape): void {
  for (const { layer, attPrev, wkv, ffnPrev } of q8Parts(state, body, shape)) {
    for (const { numbers, halves } of [attPrev, ffnPrev]) {
      const fault = decodeFloat16(halves, numbers);
      if (fault >= 0) throw damaged(`token shift ${fault} of layer ${layer} is not finite`);
    }
    const row = decodeRows(wkv.rows, wkv.numbers);
    if (row >= 0) throw damaged(`the scale of row ${row} of layer ${layer} is no size`);
  }
}

/** The first `count` numbers of 16 bits in `body`, which begins at an even offset. */
function halvesOf(body: Uint8Array, count: number): Uint16Array {
  return new Uint16Array(body.buffer, body.byteOffset, count);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function damaged(what: string): InferenceError {
  return new InferenceError("state_damaged", `Cannot decode a state: ${what}`, {
    param: "state_id",
  });
}

/**
 * Encodes a model's recurrent state as bytes: a self-describing header, then the numbers in one of
 * three codecs. `docs/internals/formats.md` specifies the format.
 *
 * | bytes    | content                               |
 * |----------|---------------------------------------|
 * | 0 to 4   | `RWKS`                                |
 * | 4 to 6   | format version, u16, 2                |
 * | 6 to 8   | codec, u16: 0 is f32, 1 f16, 2 q8     |
 * | 8 to 20  | layers, width, head size, u32 each    |
 *
 * Version 1 had a count of float32 numbers instead of the shape, and a header of 16 bytes. It is read
 * but no longer written.
 *
 * Everything is little-endian, like every host of WebGPU, so typed arrays view the bytes directly.
 */

import { InferenceError } from "../../core/errors.ts";
import { decodeFloat16, tryFloat16Bits } from "../../core/float16.ts";
import { decodeRows, encodeRows } from "./int8_rows.ts";

/**
 * The encoding of a state's numbers: `f32` is exact; `f16` rounds to nearest even; `q8` stores each
 * row of the WKV matrix (one head and key channel) as 8-bit codes with one float16 scale, and the
 * token shifts as float16.
 */
export type StateCodec = "f32" | "f16" | "q8";

/** All codecs, in the order of their numbers in the header. */
export const STATE_CODECS: readonly StateCodec[] = ["f32", "f16", "q8"];

/** The shape of a state: for each layer `att_prev[C]`, `wkv[H][N][N]`, `ffn_prev[C]`. */
export interface StateShape {
  /** Blocks of the model. */
  layers: number;
  /** C, a multiple of N. */
  width: number;
  /** N. */
  headSize: number;
}

/** The header of a stored state. */
export interface StateHeader {
  /** Format version. */
  version: 1 | 2;
  /** Encoding of the numbers. */
  codec: StateCodec;
  /** `null` in version 1, which has no shape. */
  shape: StateShape | null;
  /** Number of numbers. */
  numbers: number;
  /** Total bytes of header and numbers. */
  bytes: number;
}

const MAGIC = 0x534b5752; // "RWKS"
const HEADER_BYTES = { 1: 16, 2: 20 };

/** Bytes that {@linkcode readStateHeader} needs. */
export const STATE_HEADER_BYTES: number = HEADER_BYTES[2];

/**
 * Encodes a state of `layers * C * (N + 2)` numbers. If a number does not fit float16 (beyond 65504,
 * infinite or NaN), the whole state is encoded as f32.
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
  let fits = true;
  if (codec === "f32") body.set(bytesOf(state));
  else if (codec === "f16") fits = tryFloat16Bits(state, float16View(body, state.length));
  else fits = encodeQ8(state, body, shape);
  return fits ? bytes : encodeState(state, { codec: "f32", shape });
}

/**
 * Decodes the numbers of a stored state. `bytes` may be untrusted.
 *
 * @throws InferenceError `state_damaged` if the header does not match the length, or if a codec
 * contains an infinity or NaN, which `encodeState` never writes.
 */
export function decodeState(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { version, codec, shape, numbers, bytes: expected } = readStateHeader(bytes);
  if (bytes.length !== expected) {
    const what = shape === null ? `${numbers} numbers` : `${shapeText(shape)} as ${codec}`;
    throw damaged(`${what} need ${expected} bytes, but there are ${bytes.length}`);
  }
  let body = bytes.subarray(HEADER_BYTES[version]);
  if (body.byteOffset % 2 !== 0) body = body.slice();
  const state = new Float32Array(numbers);
  if (shape === null || codec === "f32") bytesOf(state).set(body);
  else if (codec === "q8") decodeQ8(body, state, shape);
  else {
    const fault = decodeFloat16(float16View(body, numbers), state);
    if (fault >= 0) throw damaged(`number ${fault} is not finite`);
  }
  return state;
}

/**
 * Reads the header of a stored state.
 *
 * @param bytes The state, or its first {@linkcode STATE_HEADER_BYTES} bytes or more.
 * @throws InferenceError `state_damaged`
 */
export function readStateHeader(bytes: Uint8Array): StateHeader {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 8) throw damaged(`${bytes.length} bytes are too few for a header`);
  if (header.getUint32(0, true) !== MAGIC) throw damaged("it does not begin with RWKS");
  const version = header.getUint16(4, true);
  if (version !== 1 && version !== 2) {
    throw damaged(`the format version is ${version} and this worker reads 1 and 2`);
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

/** Returns the bytes of a stored state including its header, if its numbers fit the codec. */
export function stateBytes(codec: StateCodec, shape: StateShape): number {
  return STATE_HEADER_BYTES + bodyBytes(codec, shape);
}

/** Returns the number of numbers in a state. */
export function stateNumbers({ layers, width, headSize }: StateShape): number {
  return layers * width * (headSize + 2);
}

function bodyBytes(codec: StateCodec, shape: StateShape): number {
  const { layers, width, headSize } = shape;
  // For each channel: a row of codes, its scale and two token shifts.
  if (codec === "q8") return layers * width * (headSize + 3 * 2);
  return stateNumbers(shape) * (codec === "f16" ? 2 : 4);
}

/** Returns the problem of a shape, or `null`. */
function faultOf({ layers, width, headSize }: StateShape): string | null {
  for (const [name, value] of Object.entries({ layers, width, headSize })) {
    if (!Number.isInteger(value) || value < 1 || value >= 2 ** 32) return `${name} is ${value}`;
  }
  return width % headSize === 0
    ? null
    : `width ${width} is not a multiple of head size ${headSize}`;
}

function shapeText({ layers, width, headSize }: StateShape): string {
  return `${layers} layers of ${width} with head size ${headSize}`;
}

/** Yields views of the parts of a q8 body: first all 16-bit values, then the codes. */
function* q8Parts(state: Float32Array, body: Uint8Array, { layers, width, headSize }: StateShape) {
  const float16 = float16View(body, layers * 3 * width);
  const codes = new Int8Array(body.buffer, body.byteOffset + float16.byteLength);
  const row = width * headSize;
  for (let layer = 0, at = 0; layer < layers; layer++, at += 2 * width + row) {
    const half = (part: number) =>
      float16.subarray((3 * layer + part) * width, (3 * layer + part + 1) * width);
    yield {
      layer,
      attPrev: { numbers: state.subarray(at, at + width), float16: half(0) },
      wkv: {
        numbers: state.subarray(at + width, at + width + row),
        rows: { scales: half(1), codes: codes.subarray(layer * row, (layer + 1) * row) },
      },
      ffnPrev: {
        numbers: state.subarray(at + width + row, at + 2 * width + row),
        float16: half(2),
      },
    };
  }
}

/** @returns Whether every number fits float16. */
function encodeQ8(state: Float32Array, body: Uint8Array, shape: StateShape): boolean {
  for (const { attPrev, wkv, ffnPrev } of q8Parts(state, body, shape)) {
    const fits = tryFloat16Bits(attPrev.numbers, attPrev.float16) &&
      encodeRows(wkv.numbers, wkv.rows) && tryFloat16Bits(ffnPrev.numbers, ffnPrev.float16);
    if (!fits) return false;
  }
  return true;
}

function decodeQ8(body: Uint8Array, state: Float32Array, shape: StateShape): void {
  for (const { layer, attPrev, wkv, ffnPrev } of q8Parts(state, body, shape)) {
    for (const { numbers, float16 } of [attPrev, ffnPrev]) {
      const fault = decodeFloat16(float16, numbers);
      if (fault >= 0) throw damaged(`token shift ${fault} of layer ${layer} is not finite`);
    }
    const row = decodeRows(wkv.rows, wkv.numbers);
    if (row >= 0) throw damaged(`the scale of row ${row} of layer ${layer} is invalid`);
  }
}

/** Returns the first `count` 16-bit values of `body`, which starts at an even offset. */
function float16View(body: Uint8Array, count: number): Uint16Array {
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

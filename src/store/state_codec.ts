/**
 * A model's recurrent state as bytes: a header of 16 bytes, then the numbers.
 *
 * | bytes  | holds                                       |
 * |--------|---------------------------------------------|
 * | 0..4   | `RWKS`                                      |
 * | 4..6   | format version, u16, 1                      |
 * | 6..8   | encoding of a number, u16: 0 is float32     |
 * | 8..12  | count of numbers, u32                       |
 * | 12..16 | zero                                        |
 *
 * Everything is little-endian, as is every host that WebGPU runs on, so numbers are copied as
 * bytes: bit for bit, NaN payloads too.
 */

import { InferenceError } from "../core/errors.ts";

const MAGIC = 0x534b5752; // "RWKS"
const VERSION = 1;
const FLOAT32 = 0;
const HEADER_BYTES = 16;

export function encodeState(state: Float32Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + state.byteLength);
  const header = new DataView(bytes.buffer);
  header.setUint32(0, MAGIC, true);
  header.setUint16(4, VERSION, true);
  header.setUint16(6, FLOAT32, true);
  header.setUint32(8, state.length, true);
  bytes.set(new Uint8Array(state.buffer, state.byteOffset, state.byteLength), HEADER_BYTES);
  return bytes;
}

/** @throws InferenceError `state_damaged` unless the header fits what follows. */
export function decodeState(bytes: Uint8Array): Float32Array {
  if (bytes.length < HEADER_BYTES) {
    throw damaged(`${bytes.length} bytes are too few for its header of ${HEADER_BYTES}`);
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (header.getUint32(0, true) !== MAGIC) throw damaged("it does not begin with RWKS");
  const version = header.getUint16(4, true);
  if (version !== VERSION) throw damaged(`format version is ${version}, this worker reads 1`);
  const encoding = header.getUint16(6, true);
  if (encoding !== FLOAT32) throw damaged(`encoding is ${encoding}, this worker reads 0, float32`);
  const count = header.getUint32(8, true);
  const body = bytes.length - HEADER_BYTES;
  if (body !== count * 4) throw damaged(`${count} numbers do not fit in ${body} bytes`);
  return new Float32Array(bytes.slice(HEADER_BYTES).buffer);
}

function damaged(what: string): InferenceError {
  return new InferenceError("state_damaged", `Cannot decode a state: ${what}`, {
    param: "state_id",
  });
}

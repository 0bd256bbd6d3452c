/**
 * Converts stored floats to float32. The conversion is exact: every F16 and BF16 value is a float32
 * value. Files are little-endian, like every platform with WebGPU, so typed arrays are used directly.
 */

const converters: Record<string, (bytes: Uint8Array, out: Float32Array) => void> = {
  F32: (bytes, out) => new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes),
  F16: (bytes, out) => {
    const halves = words16(bytes);
    const table = halfTable();
    for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]];
  },
  BF16: (bytes, out) => {
    const halves = words16(bytes);
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  },
};

/** Returns whether {@linkcode widen} supports the dtype. */
export function isFloat(dtype: string): boolean {
  return Object.hasOwn(converters, dtype);
}

/**
 * Converts `bytes` to float32 and stores the values in `out`.
 *
 * @param dtype A dtype for which {@linkcode isFloat} returns true.
 * @param bytes `out.length` elements, little-endian, at any alignment.
 */
export function widen(dtype: string, bytes: Uint8Array, out: Float32Array): void {
  converters[dtype](bytes, out);
}

/** Returns the index of the first NaN or infinity, or -1. */
export function firstNonFinite(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i] & 0x7f800000) === 0x7f800000) return i;
  }
  return -1;
}

/** Returns `bytes`, or an aligned copy if a typed array of `size`-byte elements needs one. */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

/** Returns `bytes` as 16-bit elements. */
export function words16(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes, 2);
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}

/** Returns `bytes` as 32-bit elements. */
export function words32(bytes: Uint8Array): Uint32Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes, 4);
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}

let cachedHalfTable: Float32Array | undefined;

/** Returns the float32 values of all 65,536 half floats. */
function halfTable(): Float32Array {
  if (cachedHalfTable) return cachedHalfTable;
  const table = new Float32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const magnitude = exponent === 0
      ? fraction * 2 ** -24
      : exponent < 31
      ? (1024 + fraction) * 2 ** (exponent - 25)
      : fraction === 0
      ? Infinity
      : NaN;
    table[half] = half & 0x8000 ? -magnitude : magnitude;
  }
  cachedHalfTable = table;
  return table;
}

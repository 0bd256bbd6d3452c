/** Bytes as lower-case hexadecimal digits; Node has its own `toHex` only from version 25 on. */

export function toHex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return digits;
}

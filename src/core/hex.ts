/** Encodes bytes as lower-case hexadecimal. Node has `Uint8Array.toHex` only since version 25. */

export function toHex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return digits;
}

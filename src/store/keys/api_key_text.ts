/**
 * The text of API keys: 256 random bits, of which only the SHA-256 is stored. A salt is unnecessary
 * for values that cannot be guessed, and without it a key can be looked up by its hash.
 */

import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";
import type { RandomBytes } from "../states/state_id.ts";

const PREFIX = "rwkv-";
const BYTES = 32;
const KEY = /^rwkv-[A-Za-z0-9_-]{43}$/;

/** Returns a new key. */
export function newKeyText(random: RandomBytes): string {
  const base64 = btoa(String.fromCharCode(...random(BYTES)));
  return PREFIX + base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Returns whether a text has the format of `newKeyText`. */
export function isKeyText(text: string): boolean {
  return KEY.test(text);
}

/** Returns the SHA-256 of a key in lower-case hexadecimal. */
export async function hashKey(text: string): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(text)));
}

/** Returns the public id of a key, which is derived from its hash. */
export function keyId(hash: string): string {
  return `key_${hash.slice(0, 16)}`;
}

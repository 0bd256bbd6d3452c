/**
 * API keys as texts: 256 random bits, of which only the SHA-256 is kept. A hash without salt is
 * enough for what nobody can guess, and lets a key be looked up by it.
 */

import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";
import type { RandomBytes } from "../states/state_id.ts";

const PREFIX = "rwkv-";
const BYTES = 32;
const KEY = /^rwkv-[A-Za-z0-9_-]{43}$/;

/** A fresh key. */
export function newKeyText(random: RandomBytes): string {
  const base64 = btoa(String.fromCharCode(...random(BYTES)));
  return PREFIX + base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Whether a text looks like a key that `newKeyText` has made. */
export function isKeyText(text: string): boolean {
  return KEY.test(text);
}

/** What is kept of a key: SHA-256, in lower-case hex. */
export async function hashKey(text: string): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(text)));
}

/** What a key is called where it is listed. It is of the hash, so that it is the same everywhere. */
export function keyId(hash: string): string {
  return `key_${hash.slice(0, 16)}`;
}

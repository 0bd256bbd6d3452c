/**
 * Master keys for encryption at rest. The first key of the list encrypts new values, and every key
 * decrypts its own values, so keys are rotated by prepending a new one.
 */

import { InferenceError } from "../../core/errors.ts";
import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";

const KEY_BYTES = 32;
/** Bytes of a key's name, which reveals nothing about the key. */
export const NAME_BYTES = 8;
/** Maximum number of cached derived keys. */
const MAX_DERIVED = 1_000;

interface MasterKey {
  /** `NAME_BYTES` bytes in hexadecimal digits. */
  name: string;
  material: CryptoKey;
}

/** Master keys, and the keys derived from them by HKDF-SHA-256 (RFC 5869) for each tenant and day. */
export class MasterKeys {
  readonly #keys: readonly MasterKey[];
  /** Derived keys by master key and purpose, the least recently used first. */
  readonly #derived = new Map<string, Promise<CryptoKey>>();

  private constructor(keys: readonly MasterKey[]) {
    this.#keys = keys;
  }

  /** No keys: values are not encrypted, and encrypted values cannot be read. */
  static readonly NONE: MasterKeys = new MasterKeys([]);

  /**
   * @param text Keys of 32 bytes in base64, separated by commas, the newest first.
   * @throws InferenceError `invalid_value`, without the text
   */
  static async parse(text: string): Promise<MasterKeys> {
    const parts = text.split(",").map((part) => part.trim());
    return new MasterKeys(await Promise.all(parts.map((part, i) => parseKey(part, i + 1))));
  }

  /** Name of the key that encrypts new values; `null` if there are no keys. */
  get current(): string | null {
    return this.#keys[0]?.name ?? null;
  }

  /**
   * Returns a tenant's AES-256-GCM key for a day, or `null` if the master key is unknown.
   *
   * @param day Days since 1970; undefined for values of the old format without days.
   */
  async keyOf(
    tenant: string,
    { name, day }: { name: string; day: number | undefined },
  ): Promise<CryptoKey | null> {
    const master = this.#keys.find((key) => key.name === name);
    if (!master) return null;
    const info = day === undefined ? `values ${tenant}` : `values of day ${day} ${tenant}`;
    const at = `${name} ${info}`;
    const known = this.#derived.get(at) ?? derive(master, info);
    this.#derived.delete(at);
    this.#derived.set(at, known);
    for (const [oldest] of this.#derived) {
      if (this.#derived.size <= MAX_DERIVED) break;
      this.#derived.delete(oldest);
    }
    return await known;
  }

  /** Derives 256 secret bits for `purpose` from the newest key, in hexadecimal. */
  async secret(purpose: string): Promise<string> {
    const [newest] = this.#keys;
    const bits = await crypto.subtle.deriveBits(hkdf(`secret ${purpose}`), newest.material, 256);
    return toHex(new Uint8Array(bits));
  }
}

async function parseKey(text: string, place: number): Promise<MasterKey> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw refuse(place, "is not base64");
  }
  if (bytes.length !== KEY_BYTES) throw refuse(place, `has ${bytes.length} bytes`);
  const named = new Uint8Array([...new TextEncoder().encode("rwkv-edge master key\0"), ...bytes]);
  const name = toHex((await sha256(named)).subarray(0, NAME_BYTES));
  const material = await crypto.subtle.importKey("raw", bytes, "HKDF", false, [
    "deriveKey",
    "deriveBits",
  ]);
  return { name, material };
}

function refuse(place: number, problem: string): InferenceError {
  return new InferenceError(
    "invalid_value",
    `Cannot use master key ${place}: it ${problem}, and a key is ${KEY_BYTES} random bytes in ` +
      "base64, as `openssl rand -base64 32` prints",
    { param: "RWKV_MASTER_KEY" },
  );
}

function derive({ material }: MasterKey, info: string): Promise<CryptoKey> {
  const type = { name: "AES-GCM", length: 256 };
  const uses: KeyUsage[] = ["encrypt", "decrypt"];
  return crypto.subtle.deriveKey(hkdf(info), material, type, false, uses);
}

function hkdf(info: string): HkdfParams {
  const salt = new Uint8Array();
  return {
    name: "HKDF",
    hash: "SHA-256",
    salt,
    info: new TextEncoder().encode(`rwkv-edge ${info}`),
  };
}

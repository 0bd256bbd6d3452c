/**
 * Master keys, with which a store is encrypted at rest: the first one of a list seals what is
 * written, each opens what it has sealed, so that a new one can be put before the old.
 */

import { InferenceError } from "../../core/errors.ts";
import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";

const KEY_BYTES = 32;
/** Bytes of a key's name, which tells nothing of the key. */
export const NAME_BYTES = 8;
/** Derived keys that are kept at hand. */
const MAX_DERIVED = 1_000;

interface MasterKey {
  /** `NAME_BYTES` bytes in hexadecimal digits. */
  name: string;
  material: CryptoKey;
}

/** Master keys, and what is derived from them: HKDF-SHA-256 (RFC 5869), a key for each tenant and day. */
export class MasterKeys {
  readonly #keys: readonly MasterKey[];
  /** By name of the master key and what it is for; the latest used are last. */
  readonly #derived = new Map<string, Promise<CryptoKey>>();

  private constructor(keys: readonly MasterKey[]) {
    this.#keys = keys;
  }

  /** Without any: nothing is sealed, and nothing sealed can be read. */
  static readonly NONE: MasterKeys = new MasterKeys([]);

  /**
   * @param text Keys of 32 bytes in base64, the newest first, with commas between.
   * @throws InferenceError `invalid_value`, which does not tell the text
   */
  static async parse(text: string): Promise<MasterKeys> {
    const parts = text.split(",").map((part) => part.trim());
    return new MasterKeys(await Promise.all(parts.map((part, i) => parseKey(part, i + 1))));
  }

  /** Name of the key that seals; `null` without any. */
  get current(): string | null {
    return this.#keys[0]?.name ?? null;
  }

  /**
   * A tenant's AES-256-GCM key for a day; `null` where there is no master key of that name.
   *
   * @param day Days since 1970; without one, the key of stores from before keys had days.
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

  /** 256 bits in hexadecimal digits that only the newest key tells, for `purpose`. */
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

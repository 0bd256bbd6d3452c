/**
 * Encrypts single values with AES-256-GCM. The additional data is the row's key, so that a value
 * moved to another row cannot be decrypted.
 *
 * An encrypted value is `"RWS2"`, the name of the master key (8 bytes), the day since 1970 (4 bytes,
 * big-endian), a random nonce (12 bytes), the ciphertext and its tag (16 bytes). Each tenant has a
 * key for each day, so that random nonces stay far from colliding: AES-GCM allows 2^32 of them under
 * one key. `"RWS1"`, which is read but no longer written, has no day and one key for each tenant.
 */

import { InferenceError } from "../../core/errors.ts";
import { toHex } from "../../core/hex.ts";
import type { Entry, Key } from "../backends/backend.ts";
import { type MasterKeys, NAME_BYTES } from "./master_keys.ts";

const MAGIC_BYTES = 4;
const DAY_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DAY_MS = 24 * 3_600_000;

const MAGIC = new TextEncoder().encode("RWS2");
const OLD_MAGIC = new TextEncoder().encode("RWS1");

/** Bytes that encryption adds to a value. */
export const ENCRYPTION_BYTES = MAGIC_BYTES + NAME_BYTES + DAY_BYTES + NONCE_BYTES + TAG_BYTES;

/** Minimum bytes of an encrypted value of either version. */
const MIN_BYTES = ENCRYPTION_BYTES - DAY_BYTES;

/** Returns whether a value has the format of an encrypted one. */
export function isEncrypted(value: Uint8Array): boolean {
  return value.length >= MIN_BYTES && (hasMagic(value, MAGIC) || hasMagic(value, OLD_MAGIC));
}

/**
 * Encrypts a value for the row at `at`. Empty values carry no information and stay empty.
 *
 * @param now Epoch milliseconds.
 */
export async function encryptRow(
  keys: MasterKeys,
  { at, value, now }: { at: Key; value: Uint8Array; now: number },
): Promise<Uint8Array> {
  const { current } = keys;
  if (current === null || value.length === 0) return value;
  const day = Math.floor(now / DAY_MS);
  const key = (await keys.keyOf(tenantOf(at), { name: current, day }))!;
  const headBytes = ENCRYPTION_BYTES - TAG_BYTES;
  const output = new Uint8Array(value.length + ENCRYPTION_BYTES);
  output.set(MAGIC);
  output.set(Uint8Array.fromHex(current), MAGIC_BYTES);
  new DataView(output.buffer).setUint32(MAGIC_BYTES + NAME_BYTES, day);
  const nonce = crypto.getRandomValues(output.subarray(headBytes - NONCE_BYTES, headBytes));
  const content = value as Uint8Array<ArrayBuffer>;
  const encrypted = await crypto.subtle.encrypt(parameters(at, nonce), key, content);
  output.set(new Uint8Array(encrypted), headBytes);
  return output;
}

/**
 * Decrypts the value of an entry for which `isEncrypted` is true.
 *
 * @throws InferenceError `state_damaged` if it cannot be decrypted
 */
export async function decryptRow(keys: MasterKeys, entry: Entry): Promise<Entry> {
  const { key: at, value } = entry;
  const name = encryptionKeyName(value);
  const isOld = hasMagic(value, OLD_MAGIC);
  const day = isOld ? undefined : new DataView(value.buffer, value.byteOffset).getUint32(
    MAGIC_BYTES + NAME_BYTES,
  );
  const key = await keys.keyOf(tenantOf(at), { name, day });
  if (key === null) {
    throw damagedValue(
      at,
      `it is encrypted with master key ${name}: add that key to RWKV_MASTER_KEY`,
    );
  }
  const headBytes = ENCRYPTION_BYTES - TAG_BYTES - (isOld ? DAY_BYTES : 0);
  const nonce = value.slice(headBytes - NONCE_BYTES, headBytes);
  try {
    const decrypted = await crypto.subtle.decrypt(
      parameters(at, nonce),
      key,
      value.slice(headBytes),
    );
    return { ...entry, value: new Uint8Array(decrypted) };
  } catch (cause) {
    throw damagedValue(at, "its content or location was changed", cause);
  }
}

/** Returns the name of the master key that encrypted a value. */
export function encryptionKeyName(value: Uint8Array): string {
  return toHex(value.subarray(MAGIC_BYTES, MAGIC_BYTES + NAME_BYTES));
}

/** Returns the error for a value that cannot be read. */
export function damagedValue(at: Key, problem: string, cause?: unknown): InferenceError {
  const message = `Cannot read a ${at[1]} of the store: ${problem}`;
  return new InferenceError("state_damaged", message, { cause, param: "state_id" });
}

function hasMagic(value: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => value[i] === byte);
}

function parameters(at: Key, iv: Uint8Array<ArrayBuffer>): AesGcmParams {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(JSON.stringify(at)) };
}

function tenantOf(key: Key): string {
  return String(key[0]);
}

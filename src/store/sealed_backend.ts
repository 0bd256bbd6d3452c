/**
 * A backend whose values are encrypted: AES-256-GCM with a key for each tenant, the value's place as
 * additional data, so that none can be read elsewhere. Keys of rows stay as they are: ids, random or
 * hashed, times and the tenant's name. Lengths can be seen.
 *
 * A sealed value is `"RWS1"`, the name of the master key (8 bytes), the nonce (12, random), and what
 * AES-GCM makes of the value (16 more). Values from before the store was encrypted are read as they
 * stand. Empty values say nothing, and stay empty.
 */

import { InferenceError } from "../core/errors.ts";
import { toHex } from "../core/hex.ts";
import type { Backend, Check, Entry, Key, ListOptions, Mutation } from "./backend.ts";
import { type MasterKeys, NAME_BYTES } from "./master_keys.ts";

const MAGIC = new TextEncoder().encode("RWS1");
const NONCE_BYTES = 12;
const HEAD_BYTES = MAGIC.length + NAME_BYTES + NONCE_BYTES;
/** Of the nonce, the tag and what says how to open it. */
const SEAL_BYTES = HEAD_BYTES + 16;

/** Any backend, with its values encrypted. */
export class SealedBackend implements Backend {
  readonly name: string;
  readonly valueBytes: number;
  readonly secret: string | undefined;
  readonly #backend: Backend;
  readonly #keys: MasterKeys;

  private constructor(backend: Backend, keys: MasterKeys, secret: string | undefined) {
    this.name = backend.name;
    this.valueBytes = backend.valueBytes - (keys.sealing === null ? 0 : SEAL_BYTES);
    this.secret = secret;
    this.#backend = backend;
    this.#keys = keys;
  }

  /** Without master keys it passes everything on, but says of sealed values that they are. */
  static async over(backend: Backend, keys: MasterKeys): Promise<SealedBackend> {
    const secret = keys.sealing === null ? undefined : await keys.secret("hashes");
    return new SealedBackend(backend, keys, secret);
  }

  /** @throws InferenceError `state_damaged` for a value that cannot be opened; and as the backend */
  async get(key: Key): Promise<Entry | null> {
    return await this.#open(await this.#backend.get(key));
  }

  /** Throws as `get`. */
  async getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    const entries = await this.#backend.getMany(keys);
    return await Promise.all(entries.map((entry) => this.#open(entry)));
  }

  /** Values that cannot be opened come as they are: their neighbours are to be had. */
  async *list(prefix: Key, options?: ListOptions): AsyncIterable<Entry> {
    for await (const entry of this.#backend.list(prefix, options)) {
      try {
        yield (await this.#open(entry))!;
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
        yield entry;
      }
    }
  }

  async atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    const sealed = await Promise.all(
      mutations.map(async (mutation): Promise<Mutation> =>
        mutation.type === "delete"
          ? mutation
          : { ...mutation, value: await this.#seal(mutation.key, mutation.value) }
      ),
    );
    return await this.#backend.atomic(checks, sealed);
  }

  /** Removes what is at a key, if something is. */
  delete(key: Key): Promise<void> {
    return this.#backend.delete(key);
  }

  /** Closes the backend. */
  close(): void {
    this.#backend.close();
  }

  async #seal(at: Key, value: Uint8Array): Promise<Uint8Array> {
    const { sealing } = this.#keys;
    if (sealing === null || value.length === 0) return value;
    const key = (await this.#keys.keyOf(tenantOf(at), sealing))!;
    const sealed = new Uint8Array(value.length + SEAL_BYTES);
    const nonce = crypto.getRandomValues(sealed.subarray(HEAD_BYTES - NONCE_BYTES, HEAD_BYTES));
    sealed.set(MAGIC);
    sealed.set(Uint8Array.fromHex(sealing), MAGIC.length);
    const content = value as Uint8Array<ArrayBuffer>;
    sealed.set(
      new Uint8Array(await crypto.subtle.encrypt(parameters(at, nonce), key, content)),
      HEAD_BYTES,
    );
    return sealed;
  }

  async #open(entry: Entry | null): Promise<Entry | null> {
    if (entry === null || !isSealed(entry.value)) return entry;
    const { key: at, value } = entry;
    const name = toHex(value.subarray(MAGIC.length, MAGIC.length + NAME_BYTES));
    const key = await this.#keys.keyOf(tenantOf(at), name);
    if (key === null) {
      throw damaged(at, `it is encrypted with master key ${name}: add that to RWKV_MASTER_KEY`);
    }
    const nonce = value.slice(HEAD_BYTES - NONCE_BYTES, HEAD_BYTES);
    const content = value.slice(HEAD_BYTES);
    try {
      const opened = await crypto.subtle.decrypt(parameters(at, nonce), key, content);
      return { ...entry, value: new Uint8Array(opened) };
    } catch (cause) {
      throw damaged(at, "it is not what was encrypted there", cause);
    }
  }
}

function parameters(at: Key, iv: Uint8Array<ArrayBuffer>): AesGcmParams {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(JSON.stringify(at)) };
}

function isSealed(value: Uint8Array): boolean {
  return value.length >= SEAL_BYTES && MAGIC.every((byte, i) => value[i] === byte);
}

function tenantOf(key: Key): string {
  return String(key[0]);
}

function damaged(at: Key, problem: string, cause?: unknown): InferenceError {
  const message = `Cannot read a ${at[1]} of the store: ${problem}`;
  return new InferenceError("state_damaged", message, { cause, param: "state_id" });
}

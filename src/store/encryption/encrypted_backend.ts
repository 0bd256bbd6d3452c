/**
 * A backend with encrypted values (`row_encryption.ts`). Keys of rows stay readable: random or
 * hashed ids, times and tenant names. Lengths of values are visible.
 *
 * With master keys, every value that is not empty must be encrypted; a plaintext value may be
 * forged. Without master keys, a store that was ever encrypted does not open.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Backend, Check, Entry, Key, ListOptions, Mutation } from "../backends/backend.ts";
import { verifyEncryption } from "./encryption_status.ts";
import { MasterKeys } from "./master_keys.ts";
import {
  damagedValue,
  decryptRow,
  ENCRYPTION_BYTES,
  encryptRow,
  isEncrypted,
} from "./row_encryption.ts";

export interface EncryptedBackendOptions {
  /** Epoch milliseconds. */
  now?: (() => number) | undefined;
  /** Whether plaintext values are accepted, which is for migrations only. */
  plaintext?: boolean | undefined;
}

/** Encrypts the values of any backend. */
export class EncryptedBackend implements Backend {
  readonly name: string;
  readonly valueBytes: number;
  readonly secret: string | undefined;
  readonly #backend: Backend;
  readonly #keys: MasterKeys;
  readonly #now: () => number;
  readonly #plaintext: boolean;
  /** The verification that store and keys match; null before it has started. */
  #verified: Promise<void> | null = null;

  private constructor(
    backend: Backend,
    { keys, secret, now = Date.now, plaintext = false }: EncryptedBackendOptions & {
      keys: MasterKeys;
      secret: string | undefined;
    },
  ) {
    this.name = backend.name;
    this.valueBytes = backend.valueBytes - (keys.current === null ? 0 : ENCRYPTION_BYTES);
    this.secret = secret;
    this.#backend = backend;
    this.#keys = keys;
    this.#now = now;
    this.#plaintext = plaintext;
    if (plaintext) this.#verified = Promise.resolve();
  }

  /**
   * Verifies that the store is encrypted with `keys`, or is not encrypted if there are no keys. If
   * the store is unreachable, the first operation that reaches it verifies this.
   *
   * @throws InferenceError `invalid_value` with the remedy if the store and `keys` do not match
   */
  static async over(
    backend: Backend,
    keys: MasterKeys,
    options: EncryptedBackendOptions = {},
  ): Promise<EncryptedBackend> {
    const secret = keys.current === null ? undefined : await keys.secret("hashes");
    const encrypted = new EncryptedBackend(backend, { ...options, keys, secret });
    try {
      await encrypted.#verify();
    } catch (error) {
      if (!(error instanceof InferenceError) || error.code !== "store_unavailable") throw error;
    }
    return encrypted;
  }

  /** @throws InferenceError `state_damaged` for a value that cannot be read; or an error of the backend */
  async get(key: Key): Promise<Entry | null> {
    await this.#ready();
    return await this.#decrypt(await this.#backend.get(key));
  }

  /** Throws the errors of `get`. */
  async getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    await this.#ready();
    const entries = await this.#backend.getMany(keys);
    return await Promise.all(entries.map((entry) => this.#decrypt(entry)));
  }

  /** Values that cannot be read are listed as empty, so that the others can be. */
  async *list(prefix: Key, options?: ListOptions): AsyncIterable<Entry> {
    await this.#ready();
    for await (const entry of this.#backend.list(prefix, options)) {
      try {
        yield (await this.#decrypt(entry))!;
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
        yield { ...entry, value: new Uint8Array() };
      }
    }
  }

  async atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    await this.#ready();
    const now = this.#now();
    const encrypted = await Promise.all(
      mutations.map(async (mutation): Promise<Mutation> => {
        if (mutation.type === "delete") return mutation;
        const { key: at, value } = mutation;
        return { ...mutation, value: await encryptRow(this.#keys, { at, value, now }) };
      }),
    );
    return await this.#backend.atomic(checks, encrypted);
  }

  /** Deletes a key. */
  async delete(key: Key): Promise<void> {
    await this.#ready();
    await this.#backend.delete(key);
  }

  /** Closes the backend. */
  close(): void {
    this.#backend.close();
  }

  async #ready(): Promise<void> {
    try {
      await this.#verify();
    } catch (error) {
      const { message } = error as Error;
      throw new InferenceError("store_unavailable", message, { cause: error });
    }
  }

  #verify(): Promise<void> {
    return this.#verified ??= verifyEncryption(this.#backend, this.#keys, this.#now())
      .catch((error) => {
        this.#verified = null;
        throw error;
      });
  }

  async #decrypt(entry: Entry | null): Promise<Entry | null> {
    if (entry === null || entry.value.length === 0) return entry;
    if (isEncrypted(entry.value)) return await decryptRow(this.#keys, entry);
    if (this.#keys.current === null || this.#plaintext) return entry;
    throw damagedValue(entry.key, "it is plaintext in an encrypted store");
  }
}

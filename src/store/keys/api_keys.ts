/**
 * API keys in the store: `["~", "key", hash]` contains the tenant of a key, and `["~", "key-id", id]`
 * the hash of an id. The key itself is not stored, so a lost key must be replaced.
 */

import { InferenceError } from "../../core/errors.ts";
import { isTenantName } from "../../core/tenant.ts";
import { hashKey, keyId, newKeyText } from "./api_key_text.ts";
import type { Backend, Key } from "../backends/backend.ts";
import { type KeyLimits, parseLimits } from "./key_limits.ts";
import { API_KEY_IDS, API_KEYS } from "../row_keys.ts";
import type { RandomBytes } from "../states/state_id.ts";
import { assertTenant, tenantRow } from "../tenants.ts";

/** The stored facts about a key. */
export interface ApiKeyRecord {
  /** Public id of the key. */
  readonly id: string;
  /** Tenant of the key. */
  readonly tenant: string;
  /** Epoch milliseconds. */
  readonly created: number;
  /** SHA-256 of the key in lower-case hexadecimal. */
  readonly hash: string;
  /** Limits of the key. */
  readonly limits?: KeyLimits | undefined;
}

/** Options of `ApiKeys`. */
export interface ApiKeysOptions {
  /** Backend of the store. */
  backend: Backend;
  /** Epoch milliseconds. */
  now: () => number;
  /** Cryptographically secure random bytes for new keys. */
  random: RandomBytes;
}

interface KeyRow {
  version: 1;
  tenant: string;
  created: number;
  limits?: KeyLimits | undefined;
}

const KEY_ID = /^key_[0-9a-f]{16}$/;

/** The API keys of a store. */
export class ApiKeys {
  readonly #options: ApiKeysOptions;

  /** Creates access to the keys of all tenants in a backend. */
  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /**
   * Creates a key. Its text is returned here and never again.
   *
   * @throws InferenceError `invalid_value` for an invalid tenant name, or `store_unavailable`
   */
  async create(
    tenant: string,
    { limits }: { limits?: KeyLimits } = {},
  ): Promise<{ text: string; record: ApiKeyRecord }> {
    assertTenant(tenant);
    const { backend, now, random } = this.#options;
    const text = newKeyText(random);
    const hash = await hashKey(text);
    const id = keyId(hash);
    const row: KeyRow = {
      version: 1,
      tenant,
      created: now(),
      ...(limits === undefined ? {} : { limits }),
    };
    const written = await backend.atomic([], [
      { type: "set", key: rowKey(hash), value: encode(row) },
      { type: "set", key: [...API_KEY_IDS, id], value: encode({ version: 1, hash }) },
      tenantRow(tenant),
    ]);
    if (written === null) throw new Error("a write without checks failed a check");
    return { text, record: recordOf(row, hash) };
  }

  /**
   * Returns the key with a hash, or `null` if there is none or it cannot be read.
   *
   * @throws InferenceError `store_unavailable`
   */
  async find(hash: string): Promise<ApiKeyRecord | null> {
    try {
      const entry = await this.#options.backend.get(rowKey(hash));
      const row = entry && decodeRow(entry.value);
      return row && recordOf(row, hash);
    } catch (error) {
      // Plaintext in an encrypted store, or encrypted with an unknown master key.
      if (error instanceof InferenceError && error.code === "state_damaged") return null;
      throw error;
    }
  }

  /** Returns whether any key exists. Throws the errors of `find`. */
  async any(): Promise<boolean> {
    for await (const _ of this.#options.backend.list(API_KEYS, { limit: 1 })) return true;
    return false;
  }

  /** Returns all keys, the oldest first. Throws the errors of `find`. */
  async list(): Promise<ApiKeyRecord[]> {
    const records: ApiKeyRecord[] = [];
    for await (const { key, value } of this.#options.backend.list(API_KEYS)) {
      const row = decodeRow(value);
      if (row !== null) records.push(recordOf(row, String(key[key.length - 1])));
    }
    return records.sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
  }

  /**
   * Revokes the key with an id.
   *
   * @returns The revoked key.
   * @throws InferenceError `invalid_value` if there is no such key, or `store_unavailable`
   */
  async revoke(id: string): Promise<ApiKeyRecord> {
    const { backend } = this.#options;
    const entry = KEY_ID.test(id) ? await backend.get([...API_KEY_IDS, id]) : null;
    const hash = entry && hashIn(entry.value);
    const record = hash && await this.find(hash);
    if (!record) throw noSuchKey(id);
    await backend.atomic([], [
      { type: "delete", key: rowKey(record.hash) },
      { type: "delete", key: [...API_KEY_IDS, id] },
    ]);
    return record;
  }
}

/** Returns the error for an unknown key id. */
export function noSuchKey(id: string): InferenceError {
  return new InferenceError(
    "invalid_value",
    `Cannot revoke key ${JSON.stringify(id.slice(0, 80))}: no key has this id; ` +
      "`deno task rwkv keys ls` lists them",
    { param: "id" },
  );
}

function rowKey(hash: string): Key {
  return [...API_KEYS, hash];
}

function recordOf({ tenant, created, limits }: KeyRow, hash: string): ApiKeyRecord {
  return { id: keyId(hash), tenant, created, hash, ...(limits === undefined ? {} : { limits }) };
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Returns `null` for a row that is damaged or of a later version: such a key is not accepted. */
function decodeRow(value: Uint8Array): KeyRow | null {
  const row = parsed(value) as Partial<KeyRow> | null;
  if (row?.version !== 1 || typeof row.tenant !== "string" || !isTenantName(row.tenant)) {
    return null;
  }
  const limits = parseLimits(row.limits);
  if (limits === null) return null;
  const { tenant, created } = row as KeyRow;
  return { version: 1, tenant, created, ...(row.limits === undefined ? {} : { limits }) };
}

function hashIn(value: Uint8Array): string | null {
  const row = parsed(value) as { version?: number; hash?: unknown } | null;
  return row?.version === 1 && typeof row.hash === "string" ? row.hash : null;
}

function parsed(value: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(value));
  } catch {
    return null;
  }
}

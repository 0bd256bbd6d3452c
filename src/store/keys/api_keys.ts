/**
 * API keys in the store: `["~", "key", hash]` says whose a key is, `["~", "key-id", id]` which hash
 * an id stands for. The text of a key is nowhere: who has lost it makes another one.
 */

import { InferenceError } from "../../core/errors.ts";
import { isTenantName } from "../../core/tenant.ts";
import { hashKey, keyId, newKeyText } from "./api_key_text.ts";
import type { Backend, Key } from "../backends/backend.ts";
import { type KeyLimits, parseLimits } from "./key_limits.ts";
import { API_KEY_IDS, API_KEYS } from "../row_keys.ts";
import type { RandomBytes } from "../states/state_id.ts";
import { assertTenant, tenantRow } from "../tenants.ts";

/** What is known of a key. */
export interface ApiKeyRecord {
  /** What it is called where it is listed; no secret. */
  readonly id: string;
  /** Whose it is. */
  readonly tenant: string;
  /** Epoch milliseconds. */
  readonly created: number;
  /** Of its text, SHA-256 in lower-case hex. */
  readonly hash: string;
  /** Bounds of what it may do. */
  readonly limits?: KeyLimits | undefined;
}

/** Where keys are kept, and what they are made of. */
export interface ApiKeysOptions {
  /** The store's. */
  backend: Backend;
  /** Epoch milliseconds. */
  now: () => number;
  /** Of cryptographic quality: keys are made of it. */
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

  /** Those in a backend; all tenants' are together. */
  constructor(options: ApiKeysOptions) {
    this.#options = options;
  }

  /**
   * Makes a key. Its text is told here and never again.
   *
   * @throws InferenceError `invalid_value` for what is no tenant's name, or `store_unavailable`
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
    if (written === null) throw new Error("a write without a check has failed its check");
    return { text, record: recordOf(row, hash) };
  }

  /**
   * What is known of the key with a hash; `null` for none, and for one that is not readable here.
   *
   * @throws InferenceError `store_unavailable`
   */
  async find(hash: string): Promise<ApiKeyRecord | null> {
    try {
      const entry = await this.#options.backend.get(rowKey(hash));
      const row = entry && decodeRow(entry.value);
      return row && recordOf(row, hash);
    } catch (error) {
      // Plaintext in an encrypted store, or what is not encrypted by a key that is known here.
      if (error instanceof InferenceError && error.code === "state_damaged") return null;
      throw error;
    }
  }

  /** Whether there is any key. Throws as `find`. */
  async any(): Promise<boolean> {
    for await (const _ of this.#options.backend.list(API_KEYS, { limit: 1 })) return true;
    return false;
  }

  /** All keys, the oldest first. Throws as `find`. */
  async list(): Promise<ApiKeyRecord[]> {
    const records: ApiKeyRecord[] = [];
    for await (const { key, value } of this.#options.backend.list(API_KEYS)) {
      const row = decodeRow(value);
      if (row !== null) records.push(recordOf(row, String(key[key.length - 1])));
    }
    return records.sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
  }

  /**
   * Removes the key with an id.
   *
   * @returns What was known of it.
   * @throws InferenceError `invalid_value` where there is no such key, or `store_unavailable`
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

/** Of what is no key here. */
export function noSuchKey(id: string): InferenceError {
  return new InferenceError(
    "invalid_value",
    `Cannot revoke key ${JSON.stringify(id.slice(0, 80))}: there is none with this id; ` +
      "`rwkv keys ls` lists them",
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

/** A row that is damaged or of a later version lets nobody in. */
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

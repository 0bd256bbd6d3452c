/**
 * Encrypts a store that has plaintext values, while no worker uses it. It can be interrupted and
 * repeated: the status of the store is `migrating` until no plaintext value is left.
 *
 * Blobs are copied, because encrypted chunks would exceed the size limit of the database; manifests
 * then name the copies. Hashes of transcripts and idempotency keys depend on the master key, so rows
 * with the old hashes are removed. Such histories are then processed once more, and such requests
 * run again.
 */

import { InferenceError } from "../../core/errors.ts";
import { type Backend, deleteKeys, type Entry, type Mutation } from "../backends/backend.ts";
import { type BlobReference, Blobs } from "../states/blobs.ts";
import { EncryptedBackend } from "./encrypted_backend.ts";
import { readEncryptionStatus, writeEncryptionStatus } from "./encryption_status.ts";
import { collectAllGarbage } from "../states/gc.ts";
import { blobsKey, conversationsKey, NO_TENANT, RATES, statesKey } from "../row_keys.ts";
import { listStates } from "../states/list_states.ts";
import { blobsOf, type Manifest } from "../states/manifest.ts";
import type { MasterKeys } from "./master_keys.ts";
import { PrefixIndex } from "../states/prefix_index.ts";
import { isEncrypted } from "./row_encryption.ts";
import { type StateInfo, StateRows, TOMBSTONE_MS } from "../states/state_rows.ts";
import { listTenants } from "../tenants.ts";

export interface EncryptStoreOptions {
  keys: MasterKeys;
  /** Epoch milliseconds. */
  now: () => number;
  /** Lifetime of a conversation without a state, in milliseconds. */
  ttl: number;
  /** Whether to trust plaintext values in a partly encrypted store. They may be forged. */
  trustPlaintext?: boolean | undefined;
  /** Whether to remove states that cannot be read. */
  removeUnreadable?: boolean | undefined;
  /** Called after each state. */
  onState?: ((states: number) => void) | undefined;
}

/** The result of the encryption. */
export interface EncryptedStore {
  /** Number of states that were rewritten. */
  states: number;
  /** Number of other values that were encrypted in place. */
  values: number;
  /** Number of rows of the prefix index and of idempotency records that were removed. */
  removed: number;
  /** Ids of states that cannot be read. Unless removed, they stay plaintext and the store does not open. */
  unreadable: string[];
}

/** Areas of rows whose keys are hashes that depend on the master key. */
const HASHED_AREAS = ["idempotency", "answer", "answer-of"];

/**
 * Encrypts every value of a store.
 *
 * @param rows The store without encryption.
 * @throws InferenceError `invalid_value` if the store is encrypted with another key, or has untrusted
 * plaintext values beside encrypted ones; or an error of the backend
 */
export async function encryptStore(
  rows: Backend,
  options: EncryptStoreOptions,
): Promise<EncryptedStore> {
  const { keys, now, trustPlaintext = false } = options;
  const status = await readEncryptionStatus(rows, keys);
  if (status !== "migrating") {
    const counts = await countValues(rows);
    if (counts.plaintext > 0 && counts.encrypted > 0 && !trustPlaintext) {
      throw new InferenceError(
        "invalid_value",
        `Cannot encrypt the state store ${rows.name}: it has ${counts.encrypted} encrypted and ` +
          `${counts.plaintext} plaintext values, and anyone with access to the database may have ` +
          "written the latter; use --trust-plaintext to encrypt them unchanged",
        { param: "trust-plaintext" },
      );
    }
  }
  await writeEncryptionStatus(rows, keys, { status: "migrating", now: now() });
  const backend = await EncryptedBackend.over(rows, keys, { now, plaintext: true });
  const result: EncryptedStore = { states: 0, values: 0, removed: 0, unreadable: [] };
  // No worker is running, so there is no minimum age.
  await collectAllGarbage(backend, { olderThan: 0, now });
  for (const tenant of await listTenants(backend)) {
    await new TenantMigration({ ...options, rows, backend, tenant, result }).run();
  }
  for await (const entry of rows.list([NO_TENANT])) {
    if (!isPlaintext(entry)) continue;
    // Published rates are valid for seconds only.
    if (entry.key[1] === RATES[1]) await deleteKeys(rows, [entry.key]);
    else await encryptInPlace(entry, { rows, backend, result });
  }
  // Removes the originals of copied blobs and the blobs of removed states.
  await collectAllGarbage(backend, { olderThan: 0, now });
  const left = await countValues(rows);
  if (left.plaintext === 0) {
    await writeEncryptionStatus(rows, keys, { status: "encrypted", now: now() });
  }
  return result;
}

interface MigrationOptions extends EncryptStoreOptions {
  rows: Backend;
  /** The store with encryption, which also reads plaintext values. */
  backend: Backend;
  tenant: string;
  result: EncryptedStore;
}

/** Encrypts the rows of one tenant. */
class TenantMigration {
  readonly #options: MigrationOptions;
  readonly #blobs: Blobs;
  readonly #states: StateRows;
  /** Copies of blobs by the id of the original, which states may share. */
  readonly #copies = new Map<string, BlobReference>();

  constructor(options: MigrationOptions) {
    const { backend, tenant, now } = options;
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
    this.#options = options;
    this.#blobs = new Blobs(backend, { tenant, now, random });
    this.#states = new StateRows({ backend, blobs: this.#blobs, tenant, now });
  }

  async run(): Promise<void> {
    const { rows, backend, tenant, result, removeUnreadable, onState } = this.#options;
    for await (const { id, manifest } of listStates(backend, { tenant })) {
      try {
        if (manifest === null) throw new InferenceError("state_damaged", "it has no manifest");
        await this.#encryptState(await this.#states.read(id));
        onState?.(result.states);
      } catch (error) {
        if (!(error instanceof InferenceError) || error.code !== "state_damaged") throw error;
        result.unreadable.push(id);
        if (removeUnreadable) await deleteKeys(rows, [this.#states.stateKey(id)]);
      }
    }
    for await (const entry of rows.list([tenant])) {
      const area = String(entry.key[1]);
      if (area === statesKey(tenant)[1] || area === blobsKey(tenant)[1] || !isPlaintext(entry)) {
        continue;
      }
      if (area === "prefix") await this.#removePrefix(entry);
      else if (HASHED_AREAS.includes(area)) {
        await deleteKeys(rows, [entry.key]);
        result.removed++;
      } else {
        const expireIn = await this.#lifetime(entry);
        await encryptInPlace(entry, { rows, backend, result, expireIn });
      }
    }
  }

  async #encryptState(info: StateInfo): Promise<void> {
    const { rows, result, now } = this.#options;
    const { id, versionstamp: _, prefix: __, ...manifest } = info;
    const entry = await rows.get(this.#states.stateKey(id));
    const plaintext = entry !== null && isPlaintext(entry);
    // The manifest of an expired state remains without blobs.
    if (info.expires <= now()) {
      const expireIn = Math.max(1, info.expires + TOMBSTONE_MS - now());
      if (plaintext) await encryptInPlace(entry, { ...this.#options, expireIn });
      return;
    }
    const copied = await this.#withCopies(manifest);
    if (copied === null && !plaintext) return;
    const encrypted = copied ?? manifest;
    const stored = await this.#states.put(id, encrypted, { replaces: info });
    if (stored === null) throw busy(rows);
    const kept = new Set(blobsOf(encrypted).map((blob) => blob.id));
    await this.#states.collect(blobsOf(info).filter((blob) => !kept.has(blob.id)));
    result.states++;
  }

  /** Returns the manifest with encrypted copies of its blobs, or null if all are encrypted. */
  async #withCopies(manifest: Manifest): Promise<Manifest | null> {
    const { state, turn, history, note } = manifest;
    const copies = {
      state: state && await this.#copy(state),
      turn: await this.#copy(turn),
      ...(history === undefined ? {} : { history: await this.#copy(history) }),
      ...(note === undefined ? {} : { note: await this.#copy(note) }),
    };
    const copied: Manifest = { ...manifest, ...copies };
    const same = blobsOf(copied).every((blob, i) => blob.id === blobsOf(manifest)[i].id);
    return same ? null : copied;
  }

  async #copy(blob: BlobReference): Promise<BlobReference> {
    const known = this.#copies.get(blob.id);
    if (known && known.expires >= blob.expires) return known;
    const first = await this.#options.rows.get([...blobsKey(this.#options.tenant), blob.id, 0]);
    if (first !== null && isEncrypted(first.value)) return blob;
    const copy = await this.#blobs.write(await this.#blobs.read(blob), blob.expires);
    this.#copies.set(blob.id, copy);
    return copy;
  }

  async #removePrefix({ key, value }: Entry): Promise<void> {
    const { backend, rows, tenant, now, result } = this.#options;
    const hash = String(key[key.length - 1]);
    const { state } = JSON.parse(new TextDecoder().decode(value)) as { state: string };
    await new PrefixIndex({ backend, tenant, now, maxRows: Infinity }).forget(hash, state);
    await deleteKeys(rows, [key]);
    result.removed++;
  }

  /** Returns the lifetime of a conversation, which is that of its state; undefined for other rows. */
  async #lifetime({ key, value }: Entry): Promise<number | undefined> {
    const { tenant, ttl, now } = this.#options;
    if (key[1] !== conversationsKey(tenant)[1]) return undefined;
    const { head } = JSON.parse(new TextDecoder().decode(value)) as { head: string | null };
    try {
      return head === null ? ttl : Math.max(1, (await this.#states.read(head)).expires - now());
    } catch (error) {
      if (error instanceof InferenceError && error.code !== "store_unavailable") return ttl;
      throw error;
    }
  }
}

/** Encrypts the value of a row, unless it has changed. */
async function encryptInPlace(
  { key, value, versionstamp }: Entry,
  { rows, backend, result, expireIn }: {
    rows: Backend;
    backend: Backend;
    result: EncryptedStore;
    expireIn?: number | undefined;
  },
): Promise<void> {
  const mutation: Mutation = { type: "set", key, value, expireIn };
  if (await backend.atomic([{ key, versionstamp }], [mutation]) === null) throw busy(rows);
  result.values++;
}

async function countValues(rows: Backend): Promise<{ encrypted: number; plaintext: number }> {
  const counts = { encrypted: 0, plaintext: 0 };
  for await (const entry of rows.list([])) {
    if (isPlaintext(entry)) counts.plaintext++;
    else if (entry.value.length > 0) counts.encrypted++;
  }
  return counts;
}

function isPlaintext({ value }: Pick<Entry, "value">): boolean {
  return value.length > 0 && !isEncrypted(value);
}

function busy({ name }: Backend): InferenceError {
  return new InferenceError(
    "store_unavailable",
    `Cannot encrypt the state store ${name}: a worker is writing to it; stop all workers and retry`,
  );
}

/**
 * The number of states and bytes that tenants store. They are counted by listing a tenant's
 * manifests, so the count does not drift when states expire, are collected, or are written by other
 * workers. A count takes time: it is cached, repeated at an interval that depends on its cost, and
 * adjusted by the writes and deletions of this worker in between.
 *
 * Bytes are those in the manifests. Blobs that several states share count for each of them.
 * Only a count finds the responses of idempotency records.
 */

import { responseBytes } from "../idempotency/idempotency_rows.ts";
import type { Backend } from "../backends/backend.ts";
import { conversationsKey, idempotencyKey } from "../row_keys.ts";
import { withTimeout } from "../backends/reconnecting_client.ts";
import { listStates } from "../states/list_states.ts";
import { bytesOf, type Manifest } from "../states/manifest.ts";
import type { StateChange } from "../states/state_rows.ts";

/** Minimum milliseconds between two counts. */
const MIN_INTERVAL_MS = 5_000;
/** Interval between two counts as a multiple of the duration of a count. */
const INTERVAL_FACTOR = 20;
/** Milliseconds to wait for a tenant's first count. */
const FIRST_COUNT_MS = 250;
/** Maximum number of cached tenants. */
const MAX_TENANTS = 1_000;

/** The storage of a tenant. */
export interface StoredAmount {
  /** Number of states. */
  states: number;
  /** Bytes of states, conversations and stored responses. */
  bytes: number;
  /** Number of conversations. */
  conversations: number;
}

/** Options of `StoredUsage`. */
export interface StoredUsageOptions {
  /** The store, which may still be opening. */
  backend: Backend | Promise<Backend>;
  /** Epoch milliseconds. */
  now: () => number;
  /** Milliseconds to wait for a tenant's first count. */
  countTimeoutMs?: number | undefined;
}

/** The count of a tenant and the changes since. */
interface Counted extends StoredAmount {
  /** Reserved by running turns. */
  reserved: { states: number; bytes: number };
  /** Start of the last count. */
  countedAt: number;
  /** Milliseconds until the next count. */
  intervalMs: number;
  counting: Promise<void> | null;
  /** Resolves when the first count has ended or timed out. */
  first: Promise<void> | null;
  /** States that changed during the running count. */
  changed: Map<string, Manifest | null>;
}

/** Tracks the storage of tenants with limits. It reads nothing for other tenants. */
export class StoredUsage {
  readonly #options: StoredUsageOptions;
  /** Counts by tenant, the least recently used first. */
  readonly #tenants = new Map<string, Counted>();

  /** Creates a tracker for a store. */
  constructor(options: StoredUsageOptions) {
    this.#options = options;
  }

  /** Updates the count of a tenant if it is old, and waits for the first one. */
  async ready(tenant: string): Promise<void> {
    const counted = this.#entry(tenant);
    const { now, countTimeoutMs = FIRST_COUNT_MS } = this.#options;
    if (now() - counted.countedAt >= counted.intervalMs) {
      counted.counting ??= this.#count(tenant, counted);
    }
    // Only a tenant's first requests wait, and only briefly; later ones use the cached count.
    await (counted.first ??= withTimeout(counted.counting!, countTimeoutMs).catch(() => {}));
  }

  /** Returns the cached storage of a tenant, including reservations of running turns. */
  of(tenant: string): StoredAmount {
    const { states, bytes, conversations, reserved } = this.#entry(tenant);
    return { states: states + reserved.states, bytes: bytes + reserved.bytes, conversations };
  }

  /** Reserves storage. Returns a function that releases the reservation. */
  reserve(tenant: string, states: number, bytes: number): () => void {
    const { reserved } = this.#entry(tenant);
    reserved.states += states;
    reserved.bytes += bytes;
    let active = true;
    return () => {
      if (!active) return;
      active = false;
      reserved.states -= states;
      reserved.bytes -= bytes;
    };
  }

  /** Records a change of a state. */
  changed(tenant: string, { id, before, after }: StateChange): void {
    const counted = this.#tenants.get(tenant);
    if (counted === undefined) return;
    // An expired state is not counted, even if its row still exists.
    const previous = before !== null && before.expires <= this.#options.now() ? null : before;
    counted.states += Number(after !== null) - Number(previous !== null);
    counted.bytes += sizeOf(after) - sizeOf(previous);
    if (counted.counting !== null) counted.changed.set(id, after);
  }

  /** Records the creation or deletion of a conversation. */
  conversationChanged(tenant: string, by: 1 | -1): void {
    const counted = this.#tenants.get(tenant);
    if (counted !== undefined) counted.conversations += by;
  }

  #entry(tenant: string): Counted {
    const existing = this.#tenants.get(tenant);
    const counted = existing ?? {
      states: 0,
      bytes: 0,
      conversations: 0,
      reserved: { states: 0, bytes: 0 },
      countedAt: -Infinity,
      intervalMs: MIN_INTERVAL_MS,
      counting: null,
      first: null,
      changed: new Map(),
    };
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, counted);
    if (this.#tenants.size > MAX_TENANTS) this.#tenants.delete(this.#tenants.keys().next().value!);
    return counted;
  }

  /** Counts. On failure the previous count stays in use until the next attempt. */
  async #count(tenant: string, counted: Counted): Promise<void> {
    const { now } = this.#options;
    const startedAt = now();
    counted.countedAt = startedAt;
    counted.changed.clear();
    try {
      const backend = await this.#options.backend;
      let [bytes, conversations] = [0, 0];
      const sizes = new Map<string, number>();
      for await (const { id, manifest } of listStates(backend, { tenant })) {
        const isExpired = manifest !== null && manifest.expires <= now();
        if (!isExpired) sizes.set(id, sizeOf(manifest));
      }
      for await (const { value } of backend.list(conversationsKey(tenant))) {
        conversations++;
        bytes += value.length;
      }
      for await (const { value } of backend.list(idempotencyKey(tenant))) {
        bytes += responseBytes(value, now());
      }
      // A state that changed during the count may have been listed before or after the change.
      for (const [id, manifest] of counted.changed) {
        if (manifest === null) sizes.delete(id);
        else sizes.set(id, sizeOf(manifest));
      }
      for (const size of sizes.values()) bytes += size;
      Object.assign(counted, { states: sizes.size, bytes, conversations });
    } catch {
      // Writes to the store report the problem.
    }
    counted.intervalMs = Math.max(MIN_INTERVAL_MS, INTERVAL_FACTOR * (now() - startedAt));
    counted.counting = null;
  }
}

function sizeOf(manifest: Manifest | null): number {
  return manifest === null ? 0 : bytesOf(manifest);
}

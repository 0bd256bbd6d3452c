/**
 * How many states and bytes tenants keep. They are counted by listing a tenant's manifests, so that
 * nothing drifts when states expire, are collected or are written by others. A count takes time:
 * it is held, renewed at a pace that follows what it costs, and what this worker stores and removes
 * meanwhile is added to it.
 *
 * Bytes are those that each state is told to have. What states share, as a turn under way and the
 * state that it goes on from do, counts for each. Answers are found by counting alone.
 */

import { responseBytes } from "../idempotency/idempotency_rows.ts";
import type { Backend } from "../backends/backend.ts";
import { conversationsKey, idempotencyKey } from "../row_keys.ts";
import { withTimeout } from "../backends/reconnecting_client.ts";
import { listStates } from "../states/list_states.ts";
import { bytesOf, type Manifest } from "../states/manifest.ts";
import type { StateChange } from "../states/state_rows.ts";

/** Milliseconds that a count is held at least. */
const LEAST_MS = 5_000;
/** A count is held so many times as long as it took. */
const COST = 20;
/** Milliseconds that are waited for a tenant's first count. */
const FIRST_MS = 250;
/** Tenants whose counts are held. */
const MOST = 1_000;

/** What a tenant keeps. */
export interface StoredAmount {
  /** How many states. */
  states: number;
  /** Of states and conversations, and of answers that are kept to be given again. */
  bytes: number;
  /** How many names that lead to states. */
  conversations: number;
}

/** What is counted, and by which clock. */
export interface StoredUsageOptions {
  /** The store, perhaps still being opened. */
  backend: Backend | Promise<Backend>;
  /** Epoch milliseconds. */
  now: () => number;
  /** Milliseconds that are waited for a tenant's first count. */
  countTimeoutMs?: number | undefined;
}

/** A tenant's count, and what has changed since. */
interface Counted extends StoredAmount {
  /** What is to come: turns under way. */
  held: { states: number; bytes: number };
  /** When it was tried last to count. */
  tried: number;
  /** Milliseconds until that is tried again. */
  lasts: number;
  counting: Promise<void> | null;
  /** Resolves when the first count is there, or has been waited for. */
  first: Promise<void> | null;
  /** States that have changed since the count under way began, as they are now. */
  changed: Map<string, Manifest | null>;
}

/** What tenants keep, for those that are bounded; nothing is read for others. */
export class StoredUsage {
  readonly #options: StoredUsageOptions;
  /** In order of use. */
  readonly #tenants = new Map<string, Counted>();

  /** Counts in a store. */
  constructor(options: StoredUsageOptions) {
    this.#options = options;
  }

  /** Sees to it that it is known what a tenant keeps, as far as that can be. */
  async ready(tenant: string): Promise<void> {
    const counted = this.#held(tenant);
    const { now, countTimeoutMs: patience = FIRST_MS } = this.#options;
    if (now() - counted.tried >= counted.lasts) {
      counted.counting ??= this.#count(tenant, counted);
    }
    // Only a tenant's first turns wait, and not for long: later ones go by what is known.
    await (counted.first ??= withTimeout(counted.counting!, patience).catch(() => {}));
  }

  /** What a tenant keeps, with what is held for turns under way, by what is known now. */
  of(tenant: string): StoredAmount {
    const { states, bytes, conversations, held } = this.#held(tenant);
    return { states: states + held.states, bytes: bytes + held.bytes, conversations };
  }

  /** Holds room for what is to be stored; what is returned lets go of it. */
  reserve(tenant: string, states: number, bytes: number): () => void {
    const { held } = this.#held(tenant);
    held.states += states;
    held.bytes += bytes;
    let there = true;
    return () => {
      if (!there) return;
      there = false;
      held.states -= states;
      held.bytes -= bytes;
    };
  }

  /** Told by whoever writes states. */
  changed(tenant: string, { id, before, after }: StateChange): void {
    const counted = this.#tenants.get(tenant);
    if (counted === undefined) return;
    // One that has expired is not counted, even if its row is there still.
    const gone = before !== null && before.expires <= this.#options.now() ? null : before;
    counted.states += Number(after !== null) - Number(gone !== null);
    counted.bytes += sizeOf(after) - sizeOf(gone);
    if (counted.counting !== null) counted.changed.set(id, after);
  }

  /** Told by whoever makes and removes conversations. */
  conversationChanged(tenant: string, by: 1 | -1): void {
    const counted = this.#tenants.get(tenant);
    if (counted !== undefined) counted.conversations += by;
  }

  #held(tenant: string): Counted {
    const known = this.#tenants.get(tenant);
    const counted = known ?? {
      states: 0,
      bytes: 0,
      conversations: 0,
      held: { states: 0, bytes: 0 },
      tried: -Infinity,
      lasts: LEAST_MS,
      counting: null,
      first: null,
      changed: new Map(),
    };
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, counted);
    if (this.#tenants.size > MOST) this.#tenants.delete(this.#tenants.keys().next().value!);
    return counted;
  }

  /** Fails quietly: what was known before holds on, until the store is asked again. */
  async #count(tenant: string, counted: Counted): Promise<void> {
    const { now } = this.#options;
    const began = now();
    counted.tried = began;
    counted.changed.clear();
    try {
      const backend = await this.#options.backend;
      let [bytes, conversations] = [0, 0];
      const sizes = new Map<string, number>();
      for await (const { id, manifest } of listStates(backend, { tenant })) {
        const over = manifest !== null && manifest.expires <= now();
        if (!over) sizes.set(id, sizeOf(manifest));
      }
      for await (const { value } of backend.list(conversationsKey(tenant))) {
        conversations++;
        bytes += value.length;
      }
      for await (const { value } of backend.list(idempotencyKey(tenant))) {
        bytes += responseBytes(value, now());
      }
      // What was told meanwhile may have been listed as it was before, or as it is now.
      for (const [id, manifest] of counted.changed) {
        if (manifest === null) sizes.delete(id);
        else sizes.set(id, sizeOf(manifest));
      }
      for (const size of sizes.values()) bytes += size;
      Object.assign(counted, { states: sizes.size, bytes, conversations });
    } catch {
      // Whoever stores something is told what is wrong.
    }
    counted.lasts = Math.max(LEAST_MS, COST * (now() - began));
    counted.counting = null;
  }
}

function sizeOf(manifest: Manifest | null): number {
  return manifest === null ? 0 : bytesOf(manifest);
}

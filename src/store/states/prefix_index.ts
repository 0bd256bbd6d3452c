/**
 * The prefix index: finds the state of a transcript, for clients that send the whole conversation
 * with each request. A row `[tenant, "prefix", hash]` contains the state after the messages that the
 * hash identifies. `[tenant, "prefix-age", created, hash]` orders rows by age, so that the oldest are
 * deleted when there are too many.
 *
 * Hashes are SHA-256, chained message by message: the hash of a history includes those before it.
 */

import { createHash } from "node:crypto";
import { TimeSlice } from "../../core/time_slice.ts";
import type { Backend, Key, Mutation } from "../backends/backend.ts";
import { isFields, isTime } from "../row_json.ts";

/** A message in canonical form: messages that the model sees alike have the same hash. */
export interface HashedMessage {
  /** Role of the author. */
  role: string;
  /** Text of the message. */
  content: string;
}

export interface PrefixIndexOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  /** Approximate maximum number of rows; the oldest are deleted. */
  maxRows: number;
}

interface PrefixRow {
  state: string;
  /** Epoch milliseconds. */
  created: number;
}

/** Writes of this process between two checks of the number of rows. */
const TRIM_EVERY = 64;
/** Rows in one lookup. */
const BATCH = 10;

/** States by the hashes of their transcripts. */
export class PrefixIndex {
  readonly #options: PrefixIndexOptions;
  #written = 0;
  #trimming: Promise<void> | null = null;

  /** Creates the index of one tenant in a backend. */
  constructor(options: PrefixIndexOptions) {
    this.#options = options;
  }

  /**
   * Returns the hash after each message.
   *
   * @param from The hash before the messages, or the model whose states are looked up.
   */
  async prefixHashes(
    from: { after: string } | { model: string },
    messages: readonly HashedMessage[],
  ): Promise<string[]> {
    const slice = new TimeSlice();
    const hashes: string[] = [];
    let hash = "after" in from
      ? from.after
      : `rwkv-prefix-1\0${this.#options.tenant}\0${from.model}${
        this.#options.backend.secret ?? ""
      }`;
    for (const { role, content } of messages) {
      const text = JSON.stringify([hash, role, content]);
      // For short texts, Web Crypto takes 30 times as long.
      hash = createHash("sha256").update(text).digest("hex");
      hashes.push(hash);
      if (slice.isOver) await slice.next();
    }
    return hashes;
  }

  /** Yields the states of `hashes` in their order; unknown hashes are skipped. */
  async *find(hashes: readonly string[]): AsyncIterable<{ at: number; state: string }> {
    for (let first = 0; first < hashes.length; first += BATCH) {
      const keys = hashes.slice(first, first + BATCH).map((hash) => this.#key(hash));
      const entries = await this.#options.backend.getMany(keys);
      for (const [i, entry] of entries.entries()) {
        const row = entry && decodeRow(entry.value);
        if (row) yield { at: first + i, state: row.state };
      }
    }
  }

  /** Returns the writes that add `state` to the index for `expireIn` milliseconds. */
  rows(hash: string, state: string, expireIn: number): Mutation[] {
    const row: PrefixRow = { state, created: this.#options.now() };
    const value = new TextEncoder().encode(JSON.stringify(row));
    if (++this.#written % TRIM_EVERY === 0) this.#trimming ??= this.#trim();
    return [
      { type: "set", key: this.#key(hash), value, expireIn },
      { type: "set", key: this.#ageKey(row, hash), value: new Uint8Array(), expireIn },
    ];
  }

  /** Removes `hash` from the index if it still leads to `state`. */
  async forget(hash: string, state: string): Promise<void> {
    const entry = await this.#options.backend.get(this.#key(hash));
    const row = entry && decodeRow(entry.value);
    if (row?.state === state) await this.#remove({ ...row, hash });
  }

  /** Resolves when no removal is running. */
  async settled(): Promise<void> {
    await this.#trimming;
  }

  /** Deletes the oldest rows above the maximum. Failures are retried the next time. */
  async #trim(): Promise<void> {
    const { backend, tenant, maxRows } = this.#options;
    try {
      const ages: { created: number; hash: string }[] = [];
      for await (const { key } of backend.list([tenant, "prefix-age"])) {
        const [created, hash] = key.slice(-2);
        ages.push({ created: Number(created), hash: String(hash) });
      }
      for (const age of ages.slice(0, Math.max(0, ages.length - maxRows))) await this.#remove(age);
    } catch {
      // Operations that a request waits for report the problem.
    } finally {
      this.#trimming = null;
    }
  }

  /** Deletes a row, unless it was rewritten and has another age. */
  async #remove(age: { created: number; hash: string }): Promise<void> {
    const { backend } = this.#options;
    const entry = await backend.get(this.#key(age.hash));
    const ageKey = this.#ageKey(age, age.hash);
    const mutations: Mutation[] = [{ type: "delete", key: ageKey }];
    const checks = [];
    if (entry && decodeRow(entry.value)?.created === age.created) {
      mutations.push({ type: "delete", key: entry.key });
      checks.push({ key: entry.key, versionstamp: entry.versionstamp });
    }
    await backend.atomic(checks, mutations);
  }

  #key(hash: string): Key {
    return [this.#options.tenant, "prefix", hash];
  }

  #ageKey({ created }: { created: number }, hash: string): Key {
    return [this.#options.tenant, "prefix-age", created, hash];
  }
}

/** Returns `null` for a row that cannot be read, which is treated as missing. */
function decodeRow(bytes: Uint8Array): PrefixRow | null {
  try {
    const row: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (!isFields(row)) return null;
    const { state, created } = row;
    return typeof state === "string" && isTime(created) ? { state, created } : null;
  } catch {
    return null;
  }
}

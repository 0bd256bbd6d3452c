/**
 * The prefix index: which state a transcript leads to, for clients that send a conversation whole
 * each time. A row `[tenant, "prefix", hash]` names the state after the messages that the hash
 * stands for; `[tenant, "prefix-age", created, hash]` orders rows by age, so that the oldest can go
 * when there are too many.
 *
 * Hashes are SHA-256, chained message by message: a longer history's hash holds the shorter one's.
 */

import { createHash } from "node:crypto";
import { TimeSlice } from "../../core/time_slice.ts";
import type { Backend, Key, Mutation } from "../backends/backend.ts";
import { isFields, isTime } from "../row_json.ts";

/** A message as it is hashed: what looks the same to the model is the same. */
export interface HashedMessage {
  /** Who speaks. */
  role: string;
  /** What is said. */
  content: string;
}

export interface PrefixIndexOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  /** Rows at most, about: the oldest go. */
  maxRows: number;
}

interface PrefixRow {
  state: string;
  /** Epoch milliseconds. */
  created: number;
}

/** Rows written by this process between two looks at how many there are. */
const TRIM_EVERY = 64;
/** Rows looked up at once. */
const BATCH = 10;

/** States by the hash of the transcript that leads to them. */
export class PrefixIndex {
  readonly #options: PrefixIndexOptions;
  #written = 0;
  #trimming: Promise<void> | null = null;

  /** The index of one tenant in a backend. */
  constructor(options: PrefixIndexOptions) {
    this.#options = options;
  }

  /**
   * The hash after each message.
   *
   * @param from What comes before them: a hash, or what states belong to; other models have other
   * hashes.
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
      // Web Crypto takes 30 times as long for each short text.
      hash = createHash("sha256").update(text).digest("hex");
      hashes.push(hash);
      if (slice.isOver) await slice.next();
    }
    return hashes;
  }

  /** States that the index names for `hashes`, in their order; those it has none for are left out. */
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

  /** What lets `hash` lead to `state` for `expireIn` milliseconds, to be written with the state. */
  rows(hash: string, state: string, expireIn: number): Mutation[] {
    const row: PrefixRow = { state, created: this.#options.now() };
    const value = new TextEncoder().encode(JSON.stringify(row));
    if (++this.#written % TRIM_EVERY === 0) this.#trimming ??= this.#trim();
    return [
      { type: "set", key: this.#key(hash), value, expireIn },
      { type: "set", key: this.#ageKey(row, hash), value: new Uint8Array(), expireIn },
    ];
  }

  /** Lets `hash` lead nowhere, if it still leads to `state`. */
  async forget(hash: string, state: string): Promise<void> {
    const entry = await this.#options.backend.get(this.#key(hash));
    const row = entry && decodeRow(entry.value);
    if (row?.state === state) await this.#remove({ ...row, hash });
  }

  /** Resolves when nothing is being removed. */
  async settled(): Promise<void> {
    await this.#trimming;
  }

  /** Removes the oldest rows that are too many. What fails here is done the next time. */
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
      // The store tells of its faults where somebody waits for it.
    } finally {
      this.#trimming = null;
    }
  }

  /** A row that was written anew since has another age, and stays. */
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

/** `null` for a row that can't be read: it leads nowhere, and goes with its age. */
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

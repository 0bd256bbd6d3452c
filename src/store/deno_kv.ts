/**
 * Deno KV as a backend: an SQLite file, a `denokv` server or the hosted database, by path or URL.
 * The only file of the store that touches `Deno.*`.
 *
 * Two handles on one SQLite file fail each other's commits with `database is locked`, so a process
 * holds one handle a path, shared by all who open it; other processes' locks are waited out.
 */

import { InferenceError } from "../core/errors.ts";
import type { Backend, Check, Entry, Key, ListOptions, Mutation } from "./backend.ts";

/** Keys in one `getMany` of Deno KV. */
const GET_MANY_KEYS = 10;
/** Entries fetched at once by `list`: 6.4 MB of chunks. */
const LIST_BATCH = 100;

export interface DenoKvOptions {
  /** Times that a locked database is tried again, with growing pauses: some 4 s in all. */
  retries?: number | undefined;
  /** In [0, 1), for the length of the pauses. */
  random?: (() => number) | undefined;
}

interface SharedHandle {
  kv: Promise<Deno.Kv>;
  users: number;
}

/** Handles open in this process, by absolute path or URL: SQLite's locks are per process too. */
const handles = new Map<string, SharedHandle>();

export class DenoKvBackend implements Backend {
  readonly name: string;
  readonly #kv: Deno.Kv;
  readonly #retries: number;
  readonly #random: () => number;
  #release: (() => void) | null;

  private constructor(name: string, kv: Deno.Kv, options: DenoKvOptions & { release(): void }) {
    this.name = name;
    this.#kv = kv;
    this.#retries = options.retries ?? 12;
    this.#random = options.random ?? Math.random;
    this.#release = options.release;
  }

  /**
   * Opens an SQLite file (`:memory:` for none), or connects to a URL.
   *
   * @throws InferenceError `store_unavailable`
   */
  static async open(path: string, options: DenoKvOptions = {}): Promise<DenoKvBackend> {
    const name = isUrl(path) || path === ":memory:" ? path : absolute(path);
    const shared = path === ":memory:" ? undefined : handles.get(name);
    const handle = shared ?? { kv: Deno.openKv(name), users: 0 };
    handle.users++;
    if (path !== ":memory:") handles.set(name, handle);
    const release = () => {
      if (--handle.users > 0) return;
      if (handles.get(name) === handle) handles.delete(name);
      handle.kv.then((kv) => kv.close(), () => {});
    };
    try {
      return new DenoKvBackend(name, await handle.kv, { ...options, release });
    } catch (cause) {
      release();
      throw unavailable(`open the state store "${name}"`, cause);
    }
  }

  async get(key: Key): Promise<Entry | null> {
    return toEntry(await this.#try("read from", () => this.#kv.get<Uint8Array>(key)));
  }

  async getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    const entries: (Entry | null)[] = [];
    for (let i = 0; i < keys.length; i += GET_MANY_KEYS) {
      const batch = keys.slice(i, i + GET_MANY_KEYS);
      const found = await this.#try("read from", () => this.#kv.getMany<Uint8Array[]>(batch));
      entries.push(...found.map(toEntry));
    }
    return entries;
  }

  async *list(prefix: Key, { limit }: ListOptions = {}): AsyncIterable<Entry> {
    const options = limit === undefined
      ? { batchSize: LIST_BATCH }
      : { limit, batchSize: Math.min(limit, LIST_BATCH) };
    const iterator = this.#kv.list<Uint8Array>({ prefix }, options);
    while (true) {
      const next = await this.#try("read from", () => iterator.next());
      if (next.done) return;
      const { key, value, versionstamp } = next.value;
      yield { key: key as Key, value, versionstamp };
    }
  }

  async atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    const result = await this.#try("write to", () => {
      const atomic = this.#kv.atomic();
      for (const { key, versionstamp } of checks) atomic.check({ key, versionstamp });
      for (const mutation of mutations) {
        if (mutation.type === "delete") atomic.delete(mutation.key);
        else if (mutation.expireIn === undefined) atomic.set(mutation.key, mutation.value);
        else atomic.set(mutation.key, mutation.value, { expireIn: Math.ceil(mutation.expireIn) });
      }
      return atomic.commit();
    });
    return result.ok ? result.versionstamp : null;
  }

  async delete(key: Key): Promise<void> {
    await this.#try("write to", () => this.#kv.delete(key));
  }

  close(): void {
    this.#release?.();
    this.#release = null;
  }

  async #try<T>(verb: string, operation: () => Promise<T>): Promise<T> {
    for (let attempt = 0;; attempt++) {
      try {
        return await operation();
      } catch (cause) {
        if (!isLocked(cause) || attempt >= this.#retries) {
          throw unavailable(`${verb} the state store "${this.name}"`, cause);
        }
        const longest = Math.min(500, 10 * 2 ** attempt);
        await pause(longest * (0.5 + this.#random() / 2));
      }
    }
  }
}

function toEntry({ key, value, versionstamp }: Deno.KvEntryMaybe<Uint8Array>): Entry | null {
  return versionstamp === null ? null : { key: key as Key, value, versionstamp };
}

function isUrl(path: string): boolean {
  return /^https?:\/\//.test(path);
}

/** The path that a handle is shared by; as it stands where the working folder may not be read. */
function absolute(path: string): string {
  if (path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path)) return path;
  try {
    return `${Deno.cwd()}/${path}`;
  } catch {
    return path;
  }
}

function isLocked(cause: unknown): boolean {
  return cause instanceof Error && /database (table )?is (locked|busy)/.test(cause.message);
}

function unavailable(what: string, cause: unknown): InferenceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new InferenceError("store_unavailable", `Cannot ${what}: ${reason}`, { cause });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

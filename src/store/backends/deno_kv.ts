/**
 * Deno KV as a backend: an SQLite file, a `denokv` server or the hosted database, by path or URL.
 *
 * A process has one handle for each path or URL, which all users share. Operations wait for locks of
 * other processes on a file. A server may restart, see `reconnecting_client.ts`.
 */

import { InferenceError } from "../../core/errors.ts";
import {
  type Backend,
  type Check,
  type Entry,
  type Key,
  LIMITS,
  type ListOptions,
  type Mutation,
} from "./backend.ts";
import { explainConnectError } from "./kv_connect.ts";
import { ReconnectingClient, TimeoutError, withTimeout } from "./reconnecting_client.ts";

/** Keys in one `getMany` of Deno KV. */
const GET_MANY_KEYS = 10;
/** Entries that `list` fetches in one batch: 6.4 MB of chunks. */
const LIST_BATCH = 100;
/** Timeout of an operation in milliseconds. */
const TIMEOUT_MS = 10_000;
const MEMORY = ":memory:";

export interface DenoKvOptions {
  /** Milliseconds after which an operation fails, including the wait for locks. */
  timeout?: number | undefined;
  /** Returns numbers in [0, 1) for the jitter between retries of a locked database. */
  random?: (() => number) | undefined;
  /**
   * Called with the problem when a server starts to fail, and with `null` when it recovers. If a
   * process opens a URL several times, only the callback of the first one is used.
   */
  onChange?: ((problem: string | null) => void) | undefined;
  /** Called before each retry of a locked database. */
  onRetry?: (() => void) | undefined;
}

/** An open file or a connection to a server. */
interface Opened {
  use<T>(operation: (kv: Deno.Kv) => Promise<T>, milliseconds: number): Promise<T>;
  /** Releases the handle. It must not be used afterwards. */
  close(): void;
}

interface Shared {
  opened: Promise<Opened>;
  users: number;
}

/** Open stores of this process, by absolute path or URL. */
const shared = new Map<string, Shared>();

/** Deno KV as a backend of the store. All users of a path or URL share a handle. */
export class DenoKvBackend implements Backend {
  readonly name: string;
  readonly valueBytes: number = LIMITS.valueBytes;
  readonly #opened: Opened;
  readonly #timeout: number;
  readonly #random: () => number;
  readonly #onRetry: (() => void) | undefined;
  #release: (() => void) | null;

  private constructor(name: string, opened: Opened, options: DenoKvOptions & { release(): void }) {
    this.name = name;
    this.#opened = opened;
    this.#timeout = options.timeout ?? TIMEOUT_MS;
    this.#random = options.random ?? Math.random;
    this.#onRetry = options.onRetry;
    this.#release = options.release;
  }

  /**
   * Opens an SQLite file, a database in memory for `:memory:`, or a server by its URL. A server that
   * does not respond is not an error here; operations fail until it does.
   *
   * @throws InferenceError `store_unavailable` if a file cannot be opened, a URL does not belong to
   * a KV Connect server, or an access token is missing or rejected.
   */
  static async open(path: string, options: DenoKvOptions = {}): Promise<DenoKvBackend> {
    const name = isUrl(path) || path === MEMORY ? path : absolute(path);
    const timeout = options.timeout ?? TIMEOUT_MS;
    const existing = path === MEMORY ? undefined : shared.get(name);
    const entry = existing ?? {
      opened: isUrl(name) ? openUrl(name, { ...options, timeout }) : openFile(name, timeout),
      users: 0,
    };
    entry.users++;
    if (path !== MEMORY) shared.set(name, entry);
    const release = () => {
      if (--entry.users > 0) return;
      if (shared.get(name) === entry) shared.delete(name);
      entry.opened.then((opened) => opened.close(), () => {});
    };
    try {
      return new DenoKvBackend(name, await entry.opened, { ...options, release });
    } catch (cause) {
      release();
      throw unavailable("open", cause, { name, timeout });
    }
  }

  /** Returns the entry of a key, or `null`. */
  async get(key: Key): Promise<Entry | null> {
    return toEntry(await this.#try("read from", (kv) => kv.get<Uint8Array>(key)));
  }

  async getMany(keys: readonly Key[]): Promise<(Entry | null)[]> {
    const entries: (Entry | null)[] = [];
    for (let i = 0; i < keys.length; i += GET_MANY_KEYS) {
      const batch = keys.slice(i, i + GET_MANY_KEYS);
      const found = await this.#try("read from", (kv) => kv.getMany<Uint8Array[]>(batch));
      entries.push(...found.map(toEntry));
    }
    return entries;
  }

  async *list(prefix: Key, { limit = Infinity, range }: ListOptions = {}): AsyncIterable<Entry> {
    const selector = range === undefined
      ? { prefix }
      : { start: [...prefix, range[0]], end: [...prefix, range[1]] };
    let from: { cursor?: string } = {};
    for (let listed = 0; listed < limit;) {
      const size = Math.min(limit - listed, LIST_BATCH);
      // Each batch has its own iterator, so none outlives a handle that failed.
      const { entries, cursor } = await this.#try("read from", async (kv) => {
        const options = { ...from, limit: size, batchSize: size };
        const iterator = kv.list<Uint8Array>(selector, options);
        return { entries: await Array.fromAsync(iterator), cursor: iterator.cursor };
      });
      yield* entries as Entry[];
      if (entries.length < size) return;
      from = { cursor };
      listed += size;
    }
  }

  async atomic(checks: readonly Check[], mutations: readonly Mutation[]): Promise<string | null> {
    const result = await this.#try("write to", (kv) => {
      const atomic = kv.atomic();
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

  /** Deletes a key. */
  async delete(key: Key): Promise<void> {
    await this.#try("write to", (kv) => kv.delete(key));
  }

  /** Releases the handle. It must not be used afterwards. */
  close(): void {
    this.#release?.();
    this.#release = null;
  }

  async #try<T>(verb: string, operation: (kv: Deno.Kv) => Promise<T>): Promise<T> {
    const timeout = this.#timeout;
    const run = (left: number) => this.#opened.use(operation, left);
    try {
      return await retryWhileLocked(run, { timeout, random: this.#random, onRetry: this.#onRetry });
    } catch (cause) {
      throw unavailable(verb, cause, { name: this.name, timeout });
    }
  }
}

async function openFile(path: string, timeout: number): Promise<Opened> {
  await createPrivate(path);
  const open = (left: number) => withTimeout(Deno.openKv(path), left);
  const kv = await retryWhileLocked(open, { timeout, random: Math.random });
  return {
    use: (operation, milliseconds) => withTimeout(operation(kv), milliseconds),
    close: () => kv.close(),
  };
}

/**
 * Creates a missing file with permissions for its owner only. SQLite gives its other files the same
 * permissions. Opening the database reports a file that cannot be created.
 */
async function createPrivate(path: string): Promise<void> {
  if (path === MEMORY) return;
  try {
    (await Deno.open(path, { write: true, createNew: true, mode: 0o600 })).close();
  } catch {
    // The file exists, its folder is missing, or it is not writable.
  }
}

async function openUrl(
  url: string,
  { timeout, onChange }: DenoKvOptions & { timeout: number },
): Promise<Opened> {
  const notify = (error: unknown) =>
    onChange?.(error === null ? null : reasonOf(error, { name: url, timeout }));
  let started = false;
  const client = new ReconnectingClient<Deno.Kv>({
    open: async () => {
      const kv = await Deno.openKv(url);
      try {
        await kv.get(["any"]);
      } catch (error) {
        kv.close();
        throw error;
      }
      return kv;
    },
    close: (kv) => kv.close(),
    onChange: (error) => started && notify(error),
  });
  try {
    await client.use(() => Promise.resolve(), timeout);
  } catch (error) {
    if (explainConnectError(error).permanent) {
      client.close();
      throw error;
    }
    notify(error);
  }
  started = true;
  return client;
}

/** Retries `operation` with growing pauses while the database is locked. */
async function retryWhileLocked<T>(
  operation: (left: number) => Promise<T>,
  { timeout, random, onRetry }: Pick<DenoKvOptions, "onRetry"> & {
    timeout: number;
    random: () => number;
  },
): Promise<T> {
  const until = performance.now() + timeout;
  for (let attempt = 0;; attempt++) {
    const left = until - performance.now();
    try {
      return await operation(left);
    } catch (error) {
      const wait = Math.min(500, 10 * 2 ** attempt) * (0.5 + random() / 2);
      if (!isLocked(error) || performance.now() + wait > until) throw error;
      onRetry?.();
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

function toEntry({ key, value, versionstamp }: Deno.KvEntryMaybe<Uint8Array>): Entry | null {
  return versionstamp === null ? null : { key: key as Key, value, versionstamp };
}

function isUrl(path: string): boolean {
  return /^https?:\/\//.test(path);
}

/** Returns the path under which a handle is shared; unchanged if the working folder is not readable. */
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

/** A store and its timeout in milliseconds. */
interface StoreAddress {
  name: string;
  timeout: number;
}

function unavailable(verb: string, cause: unknown, address: StoreAddress): InferenceError {
  const message = `Cannot ${verb} the state store "${address.name}": ${reasonOf(cause, address)}`;
  return new InferenceError("store_unavailable", message, { cause });
}

/** Returns the problem and its remedy. */
function reasonOf(cause: unknown, { name, timeout }: StoreAddress): string {
  const isFile = !isUrl(name);
  if (cause instanceof TimeoutError || isLocked(cause)) {
    const remedy = isFile
      ? "check which other process writes to the file"
      : "check that the server is running, and its log";
    return `it has not responded for ${timeout / 1000} s; ${remedy}`;
  }
  if (!isFile) return explainConnectError(cause).text;
  const text = cause instanceof Error ? cause.message : String(cause);
  return /disk (is full|I\/O error)/.test(text)
    ? `${text}; free disk space and check the disk`
    : text;
}

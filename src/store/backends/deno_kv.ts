/**
 * Deno KV as a backend: an SQLite file, a `denokv` server or the hosted database, by path or URL.
 * The only file of the store that touches `Deno.*`.
 *
 * A process holds one handle a path or URL, shared by all who open it. Other processes' locks on a
 * file are waited out; a server may go away and come back, see `link.ts`.
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
/** Entries fetched at once by `list`: 6.4 MB of chunks. */
const LIST_BATCH = 100;
/** Milliseconds of an operation at most. */
const TIMEOUT_MS = 10_000;
const MEMORY = ":memory:";

export interface DenoKvOptions {
  /** Milliseconds after which an operation fails, waiting for others' locks included. */
  timeout?: number | undefined;
  /** In [0, 1), for the length of the pauses before a locked database is tried again. */
  random?: (() => number) | undefined;
  /**
   * Told what is wrong when a server begins to fail, and `null` when it answers again; of those who
   * open the same URL in a process, the first one.
   */
  onChange?: ((problem: string | null) => void) | undefined;
  /** Called before a locked database is tried again. */
  onRetry?: (() => void) | undefined;
}

/** What is open: the handle of a file, or a link to a server. */
interface Opened {
  use<T>(operation: (kv: Deno.Kv) => Promise<T>, milliseconds: number): Promise<T>;
  /** Gives the handle back; nothing may follow. */
  close(): void;
}

interface Shared {
  opened: Promise<Opened>;
  users: number;
}

/** What is open in this process, by absolute path or URL. */
const shared = new Map<string, Shared>();

/** Deno KV under the store: an SQLite file, or a server by its URL. All that use one share a handle. */
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
   * Opens an SQLite file (`:memory:` for none), or connects to a URL. A server that does not answer
   * is no error: operations fail until it does.
   *
   * @throws InferenceError `store_unavailable` for a file that cannot be opened, a URL that is no
   * KV Connect server's, or an access token that is missing or refused.
   */
  static async open(path: string, options: DenoKvOptions = {}): Promise<DenoKvBackend> {
    const name = isUrl(path) || path === MEMORY ? path : absolute(path);
    const timeout = options.timeout ?? TIMEOUT_MS;
    const known = path === MEMORY ? undefined : shared.get(name);
    const mine = known ?? {
      opened: isUrl(name) ? openUrl(name, { ...options, timeout }) : openFile(name, timeout),
      users: 0,
    };
    mine.users++;
    if (path !== MEMORY) shared.set(name, mine);
    const release = () => {
      if (--mine.users > 0) return;
      if (shared.get(name) === mine) shared.delete(name);
      mine.opened.then((opened) => opened.close(), () => {});
    };
    try {
      return new DenoKvBackend(name, await mine.opened, { ...options, release });
    } catch (cause) {
      release();
      throw unavailable("open", cause, { name, timeout });
    }
  }

  /** The entry at a key, or `null`. */
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
      // An iterator of its own for every batch: none lives on when its handle has failed.
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

  /** Removes what is at a key, if something is. */
  async delete(key: Key): Promise<void> {
    await this.#try("write to", (kv) => kv.delete(key));
  }

  /** Gives the handle back; nothing may follow. */
  close(): void {
    this.#release?.();
    this.#release = null;
  }

  async #try<T>(verb: string, operation: (kv: Deno.Kv) => Promise<T>): Promise<T> {
    const timeout = this.#timeout;
    const run = (left: number) => this.#opened.use(operation, left);
    try {
      return await untilFree(run, { timeout, random: this.#random, onRetry: this.#onRetry });
    } catch (cause) {
      throw unavailable(verb, cause, { name: this.name, timeout });
    }
  }
}

async function openFile(path: string, timeout: number): Promise<Opened> {
  await createPrivate(path);
  const open = (left: number) => withTimeout(Deno.openKv(path), left);
  const kv = await untilFree(open, { timeout, random: Math.random });
  return {
    use: (operation, milliseconds) => withTimeout(operation(kv), milliseconds),
    close: () => kv.close(),
  };
}

/**
 * Creates a missing file that only its owner may read. SQLite gives the files beside it the same
 * permissions. What cannot be created is for opening the database to report.
 */
async function createPrivate(path: string): Promise<void> {
  if (path === MEMORY) return;
  try {
    (await Deno.open(path, { write: true, createNew: true, mode: 0o600 })).close();
  } catch {
    // It exists, or its folder does not, or it may not be written.
  }
}

async function openUrl(
  url: string,
  { timeout, onChange }: DenoKvOptions & { timeout: number },
): Promise<Opened> {
  const tell = (error: unknown) =>
    onChange?.(error === null ? null : reasonOf(error, { name: url, timeout }));
  let started = false;
  const link = new ReconnectingClient<Deno.Kv>({
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
    onChange: (error) => started && tell(error),
  });
  try {
    await link.use(() => Promise.resolve(), timeout);
  } catch (error) {
    if (explainConnectError(error).permanent) {
      link.close();
      throw error;
    }
    tell(error);
  }
  started = true;
  return link;
}

/** Runs `operation` again while the database is locked, with growing pauses. */
async function untilFree<T>(
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

/** A store, and the milliseconds that it had. */
interface Asked {
  name: string;
  timeout: number;
}

function unavailable(verb: string, cause: unknown, asked: Asked): InferenceError {
  const message = `Cannot ${verb} the state store "${asked.name}": ${reasonOf(cause, asked)}`;
  return new InferenceError("store_unavailable", message, { cause });
}

/** What is wrong, and the remedy. */
function reasonOf(cause: unknown, { name, timeout }: Asked): string {
  const isFile = !isUrl(name);
  if (cause instanceof TimeoutError || isLocked(cause)) {
    const remedy = isFile
      ? "what else writes to that file"
      : "that the server there runs, and its log";
    return `it has not answered for ${timeout / 1000} s; see ${remedy}`;
  }
  if (!isFile) return explainConnectError(cause).text;
  const text = cause instanceof Error ? cause.message : String(cause);
  return /disk (is full|I\/O error)/.test(text)
    ? `${text}: free some room on its disk, and see that the disk works`
    : text;
}

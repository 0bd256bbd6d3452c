/**
 * Blobs: immutable bytes in chunks that fit the database, `[tenant, "blob", id, i]`. A blob is written
 * before anything references it. The reference contains length and checksum.
 */

import { InferenceError } from "../../core/errors.ts";
import { toHex } from "../../core/hex.ts";
import { sha256 } from "../../core/sha256.ts";
import { mapConcurrent } from "./map_concurrent.ts";
import { type Backend, deleteKeys, type Key, LIMITS, type Mutation } from "../backends/backend.ts";
import { BlobCache } from "./blob_cache.ts";
import { newBlobId } from "./blob_id.ts";
import { isFields, isTime } from "../row_json.ts";
import type { RandomBytes } from "./state_id.ts";

/** Bytes of a chunk, unless the reference gives another size. */
export const CHUNK_BYTES = LIMITS.valueBytes;
/** At most 786,432 bytes, which leaves 32 KiB of the limit for keys. */
const CHUNKS_PER_ATOMIC = 12;
/** Chunks outlive their state by this time, so that running reads can finish. */
const GRACE_MS = 10 * 60_000;
/** Maximum number of chunks to fetch by key; more are fetched by range. */
const FEW_CHUNKS = 10;
/** Chunks in a range: 2 MiB. */
const CHUNKS_PER_RANGE = 32;
/** Concurrent writes or range reads, which hide the latency of a distant server. */
const CONCURRENCY = 8;

/** A reference to a blob. */
export interface BlobReference {
  /** Unique id. */
  id: string;
  /** Size in bytes. */
  bytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
  /** Expiry of the chunks in epoch milliseconds. */
  expires: number;
  /** Bytes of each chunk except the last; 65,536 by default. */
  chunk?: number;
}

/** Maximum bytes of a blob: larger than any state, and small enough for one buffer. */
const MAX_BYTES = 1024 ** 3;

/** Returns whether a value is a valid reference. */
export function isBlobReference(value: unknown): value is BlobReference {
  if (!isFields(value)) return false;
  const { id, bytes, sha256, expires, chunk = CHUNK_BYTES } = value;
  return typeof id === "string" && typeof sha256 === "string" && isTime(expires) &&
    isWithin(bytes, 0, MAX_BYTES) && isWithin(chunk, CHUNK_BYTES / 2, CHUNK_BYTES);
}

function isWithin(value: unknown, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && min <= (value as number) && (value as number) <= max;
}

export interface BlobsOptions {
  tenant: string;
  now: () => number;
  random: RandomBytes;
  /** Cache of blobs; none by default. */
  cache?: BlobCache | undefined;
  /** Replaces "blob" in keys. Blobs in other areas need no refs and are not garbage collected. */
  area?: string | undefined;
}

export class Blobs {
  readonly #backend: Backend;
  readonly #options: BlobsOptions;
  readonly #cache: BlobCache;

  constructor(backend: Backend, options: BlobsOptions) {
    this.#backend = backend;
    this.#options = options;
    this.#cache = options.cache ?? new BlobCache(0);
  }

  /** Writes a new blob that expires at `expires`. `bytes` must not change afterwards. */
  async write(bytes: Uint8Array, expires: number): Promise<BlobReference> {
    const id = newBlobId(this.#options.now(), this.#options.random);
    const expireIn = Math.max(1, expires - this.#options.now() + GRACE_MS);
    const { valueBytes: chunk } = this.#backend;
    const reference: BlobReference = {
      id,
      bytes: bytes.length,
      sha256: await digest(bytes),
      expires,
      ...(chunk === CHUNK_BYTES ? {} : { chunk }),
    };
    const keys = this.#keys(reference);
    await mapConcurrent(multiples(CHUNKS_PER_ATOMIC, keys.length), CONCURRENCY, async (first) => {
      const batch = keys.slice(first, first + CHUNKS_PER_ATOMIC).map((key, i): Mutation => {
        const start = (first + i) * chunk;
        return { type: "set", key, value: bytes.subarray(start, start + chunk), expireIn };
      });
      await this.#backend.atomic([], batch);
    });
    this.#cache.set(this.#name(reference), bytes);
    return reference;
  }

  /** Returns whether a blob is cached. */
  isCached(reference: BlobReference): boolean {
    return this.#cache.has(this.#name(reference));
  }

  /** @throws InferenceError `state_damaged` unless every byte is intact. */
  async read(reference: BlobReference): Promise<Uint8Array> {
    const cached = this.#cache.get(this.#name(reference));
    if (cached) return cached;
    const bytes = await this.#fetch(reference);
    this.#cache.set(this.#name(reference), bytes);
    return bytes;
  }

  async delete(reference: BlobReference): Promise<void> {
    this.#cache.delete(this.#name(reference));
    await deleteKeys(this.#backend, this.#keys(reference));
  }

  async #fetch(reference: BlobReference): Promise<Uint8Array> {
    const keys = this.#keys(reference);
    const { chunk = CHUNK_BYTES } = reference;
    /** Allocated after the first valid chunk, because a damaged reference may have any size. */
    let bytes: Uint8Array | undefined;
    let chunks = 0;
    const place = (value: Uint8Array, index: number) => {
      const expected = Math.min(chunk, reference.bytes - index * chunk);
      if (value.length !== expected) {
        throw damaged(reference, `chunk ${index} has ${value.length} bytes instead of ${expected}`);
      }
      bytes ??= new Uint8Array(reference.bytes);
      bytes.set(value, index * chunk);
      chunks++;
    };
    if (keys.length <= FEW_CHUNKS) {
      const entries = await this.#backend.getMany(keys);
      entries.forEach((entry, i) => entry && place(entry.value, i));
    } else {
      const prefix = this.#prefix(reference);
      await mapConcurrent(multiples(CHUNKS_PER_RANGE, keys.length), CONCURRENCY, async (from) => {
        const to = from + CHUNKS_PER_RANGE;
        const range = [from, to < keys.length ? to : Infinity] as const;
        for await (const { key, value } of this.#backend.list(prefix, { range })) {
          place(value, Number(key[key.length - 1]));
        }
      });
    }
    if (chunks !== keys.length) {
      throw damaged(reference, `${keys.length - chunks} of ${keys.length} chunks are missing`);
    }
    bytes ??= new Uint8Array();
    if (await digest(bytes) !== reference.sha256) throw damaged(reference, "its checksum differs");
    return bytes;
  }

  /** Returns the name in the cache, which tenants may share. Tenant names have no slash. */
  #name({ id }: BlobReference): string {
    return `${this.#options.tenant}/${id}`;
  }

  #prefix({ id }: BlobReference): Key {
    const { tenant, area = "blob" } = this.#options;
    return [tenant, area, id];
  }

  #keys(reference: BlobReference): Key[] {
    const count = Math.ceil(reference.bytes / (reference.chunk ?? CHUNK_BYTES));
    return Array.from({ length: count }, (_, i) => [...this.#prefix(reference), i]);
  }
}

/** Returns 0, `step`, 2 x `step` and so on, below `end`. */
function multiples(step: number, end: number): number[] {
  return Array.from({ length: Math.ceil(end / step) }, (_, i) => i * step);
}

async function digest(bytes: Uint8Array): Promise<string> {
  return toHex(await sha256(bytes));
}

function damaged({ id, bytes }: BlobReference, what: string): InferenceError {
  return new InferenceError(
    "state_damaged",
    `Cannot read the ${bytes} bytes of blob "${id}": ${what}`,
    { param: "state_id" },
  );
}

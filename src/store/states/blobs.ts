/**
 * Blobs: immutable bytes cut into chunks that a database takes, `[tenant, "blob", id, i]`. A blob
 * is written before anything points at it, and carries no mark of its own that it is complete:
 * length and checksum are in the reference.
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

/** Bytes of a chunk where its reference tells no other number. */
export const CHUNK_BYTES = LIMITS.valueBytes;
/** 786,432 bytes at most, which leaves 32 KiB of the limit for keys. */
const CHUNKS_PER_ATOMIC = 12;
/** Chunks outlive their state by this, so that a read begun in time can end. */
const GRACE_MS = 10 * 60_000;
/** Up to this many chunks are fetched by key, more by range. */
const FEW_CHUNKS = 10;
/** Chunks in a range: 2 MiB. */
const CHUNKS_PER_RANGE = 32;
/** Atomics, or ranges, under way at once: a server far away answers each a while later. */
const AT_ONCE = 8;

/** What a manifest knows about a blob. */
export interface BlobReference {
  /** Names it, and no other one. */
  id: string;
  /** Its size. */
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
  /** Epoch milliseconds until which the chunks are there. */
  expires: number;
  /** Bytes of each chunk but the last, where that is not 65,536. */
  chunk?: number;
}

/** Bytes of the largest blob: more than any state has, and no more than one buffer may. */
const MOST_BYTES = 1024 ** 3;

/** Whether a value that was read from somewhere is a reference whose blob can be asked for. */
export function isBlobReference(value: unknown): value is BlobReference {
  if (!isFields(value)) return false;
  const { id, bytes, sha256, expires, chunk = CHUNK_BYTES } = value;
  return typeof id === "string" && typeof sha256 === "string" && isTime(expires) &&
    isWithin(bytes, 0, MOST_BYTES) && isWithin(chunk, CHUNK_BYTES / 2, CHUNK_BYTES);
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && least <= (value as number) && (value as number) <= most;
}

export interface BlobsOptions {
  tenant: string;
  now: () => number;
  random: RandomBytes;
  /** Where blobs are held in memory as well; none are unless given. */
  cache?: BlobCache | undefined;
  /** What stands in keys for "blob": those of another name need no ref, and are no garbage. */
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

  /** Writes a new blob that lasts until `expires`; nobody may change `bytes` any more. */
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
    await mapConcurrent(every(CHUNKS_PER_ATOMIC, keys.length), AT_ONCE, async (first) => {
      const batch = keys.slice(first, first + CHUNKS_PER_ATOMIC).map((key, i): Mutation => {
        const start = (first + i) * chunk;
        return { type: "set", key, value: bytes.subarray(start, start + chunk), expireIn };
      });
      await this.#backend.atomic([], batch);
    });
    this.#cache.set(this.#name(reference), bytes);
    return reference;
  }

  /** Whether a blob is in memory. */
  holds(reference: BlobReference): boolean {
    return this.#cache.has(this.#name(reference));
  }

  /** @throws InferenceError `state_damaged` unless every byte is as it was written. */
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
    /** Made when a chunk has come that it may be of: a damaged reference may tell any size. */
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
      await mapConcurrent(every(CHUNKS_PER_RANGE, keys.length), AT_ONCE, async (from) => {
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

  /** By what a blob goes in the cache, which tenants may share: no tenant's name has a slash. */
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

/** 0, `step`, 2 x `step` and so on, below `end`. */
function every(step: number, end: number): number[] {
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

/** A least-recently-used cache of blobs that this process has written or verified. */

/** Caches blobs by name. Several stores may share a cache. */
export class BlobCache {
  readonly #maxBytes: number;
  /** Blobs in order of use. Blobs never change, and names are unique. */
  readonly #blobs = new Map<string, Uint8Array>();
  #bytes = 0;

  /** Creates a cache with a maximum size in bytes. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes in the cache. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns whether a blob is cached. */
  has(id: string): boolean {
    return this.#blobs.has(id);
  }

  /** Returns a cached blob and marks it as used. */
  get(id: string): Uint8Array | undefined {
    const blob = this.#blobs.get(id);
    if (blob) {
      this.#blobs.delete(id);
      this.#blobs.set(id, blob);
    }
    return blob;
  }

  /** Caches a blob and evicts the least recently used ones. */
  set(id: string, blob: Uint8Array): void {
    this.delete(id);
    if (blob.length > this.#maxBytes) return;
    this.#blobs.set(id, blob);
    this.#bytes += blob.length;
    for (const [oldest] of this.#blobs) {
      if (this.#bytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
  }

  /** Removes a blob. */
  delete(id: string): void {
    this.#bytes -= this.#blobs.get(id)?.length ?? 0;
    this.#blobs.delete(id);
  }
}

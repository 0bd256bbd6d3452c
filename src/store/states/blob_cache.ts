/** Blobs that this process has written or read and verified, as many as fit: the latest used stay. */

/** Bytes in memory, under names of their users' own; several stores may share them. */
export class BlobCache {
  readonly #maxBytes: number;
  /** In order of use. Blobs never change, and no name is used twice. */
  readonly #blobs = new Map<string, Uint8Array>();
  #bytes = 0;

  /** A cache of so many bytes. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it holds a blob. */
  has(id: string): boolean {
    return this.#blobs.has(id);
  }

  /** A blob that it holds, which is the one used last from then on. */
  get(id: string): Uint8Array | undefined {
    const blob = this.#blobs.get(id);
    if (blob) {
      this.#blobs.delete(id);
      this.#blobs.set(id, blob);
    }
    return blob;
  }

  /** Holds a blob, in place of those that were used longest ago. */
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

  /** Holds a blob no longer. */
  delete(id: string): void {
    this.#bytes -= this.#blobs.get(id)?.length ?? 0;
    this.#blobs.delete(id);
  }
}

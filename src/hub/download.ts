/**
 * Downloads a file from the hub. Resumes from the bytes already on disk with range requests, also
 * after lost connections, and verifies the hash of the complete file.
 */

import { InferenceError } from "../core/errors.ts";
import { type HubClient, HubStatusError } from "./hub_client.ts";
import type { FileHash, HubFile } from "./names.ts";
import { FileChangedError, normalizeEtag, type RemoteFile } from "./repository.ts";
import { throwIfCancelled, TransientError } from "./retry.ts";

/** An incomplete file that only this process appends to. */
export interface PartialFile {
  /** The number of bytes written so far. */
  readonly size: number;
  /** Yields the bytes written so far, in chunks. */
  read(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Removes all bytes. */
  clear(): Promise<void>;
}

/** An incremental hash. */
export interface Digest {
  update(bytes: Uint8Array): void;
  hex(): string;
}

export interface DownloadOptions {
  digest: (algorithm: "sha256" | "sha1") => Digest;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The downloaded bytes do not match the hub's size or hash, so the download cannot be resumed. */
export class CorruptDownloadError extends InferenceError {
  constructor(file: HubFile, problem: string) {
    super("file_error", `Cannot use ${file.path}: ${problem}`, { param: file.path });
  }
}

/** Bytes per write. If the process is killed, at most this many received bytes are lost. */
const WRITE_BYTES = 1 << 20;

/**
 * Downloads the missing bytes of `file` into `part`.
 *
 * @throws FileChangedError, HubStatusError, CorruptDownloadError; InferenceError `hub_error`,
 * `cancelled`.
 */
export async function download(
  client: HubClient,
  file: RemoteFile,
  part: PartialFile,
  { digest, onProgress = () => {} }: DownloadOptions,
): Promise<void> {
  if (part.size > file.size) await part.clear();
  let hash = await hashPartialFile(client, file, part, digest);
  let largestSize = part.size;
  onProgress(part.size, file.size);
  await client.withRetries(async (onProgressMade) => {
    if (part.size === file.size) return;
    const response = await requestFrom(client, file, part.size);
    if (part.size > 0 && response.status !== 206) {
      // The server ignored the range and sends the whole file.
      await part.clear();
      hash = startDigest(file.hash, file.size, digest);
    }
    const writer = new BufferedWriter(async (bytes) => {
      if (part.size + bytes.length > file.size) {
        throw new CorruptDownloadError(file, `the server sent more than its ${file.size} bytes`);
      }
      await part.append(bytes);
      hash.update(bytes);
      if (part.size > largestSize) {
        largestSize = part.size;
        onProgressMade();
      }
      onProgress(part.size, file.size);
    });
    try {
      for await (const bytes of client.body(response)) await writer.push(bytes);
    } finally {
      // Bytes received before an interruption are written as well.
      await writer.flush();
    }
    if (part.size < file.size) {
      throw new TransientError(`The connection ended after ${part.size} bytes`);
    }
  });
  const hex = hash.hex();
  if (hex !== file.hash.hex) {
    throw new CorruptDownloadError(
      file,
      `its ${algorithmName(file.hash)} is ${hex}, expected ${file.hash.hex}; the download was ` +
        "removed, run the same command to download it again",
    );
  }
}

/** Creates the digest that yields `hash` for the bytes of the file. */
export function startDigest(
  hash: FileHash,
  size: number,
  digest: DownloadOptions["digest"],
): Digest {
  const created = digest(hash.algorithm === "sha256" ? "sha256" : "sha1");
  if (hash.algorithm === "git-sha1") created.update(new TextEncoder().encode(`blob ${size}\0`));
  return created;
}

async function hashPartialFile(
  { signal }: HubClient,
  file: RemoteFile,
  part: PartialFile,
  digest: DownloadOptions["digest"],
): Promise<Digest> {
  const hash = startDigest(file.hash, file.size, digest);
  for await (const bytes of part.read()) {
    throwIfCancelled(signal);
    hash.update(bytes);
  }
  return hash;
}

/** Requests the file from `offset`. A server without range support sends the whole file. */
async function requestFrom(
  client: HubClient,
  file: RemoteFile,
  offset: number,
): Promise<Response> {
  const headers: HeadersInit = offset > 0 ? { range: `bytes=${offset}-` } : {};
  let response: Response;
  try {
    response = await client.get(file.url, headers);
  } catch (error) {
    // The range is not satisfiable because the file is shorter than before.
    if (error instanceof HubStatusError && error.status === 416) {
      throw new FileChangedError(file.path);
    }
    throw error;
  }
  if (differs(client, file, response, offset)) {
    await response.body?.cancel();
    throw new FileChangedError(file.path);
  }
  return response;
}

/** Returns whether a response is not the requested part of the described file. */
function differs(client: HubClient, file: RemoteFile, response: Response, offset: number): boolean {
  const { headers, status, url } = response;
  // Only the hub's own entity tags identify the file; those of a CDN have another format.
  const fromHub = new URL(url).origin === new URL(client.endpoint).origin;
  const tag = headers.get("x-linked-etag") ?? (fromHub ? headers.get("etag") : null);
  if (tag !== null && normalizeEtag(tag) !== file.etag) return true;
  if (status !== 206) {
    const length = headers.get("content-length");
    return length !== null && Number(length) !== file.size;
  }
  const range = headers.get("content-range")?.match(/^bytes (\d+)-\d+\/(\d+)$/);
  return !range || Number(range[1]) !== offset || Number(range[2]) !== file.size;
}

/** Combines small chunks into large writes. */
class BufferedWriter {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #buffer = new Uint8Array(WRITE_BYTES);
  #filled = 0;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  async push(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      const chunk = bytes.subarray(offset, offset + WRITE_BYTES - this.#filled);
      this.#buffer.set(chunk, this.#filled);
      this.#filled += chunk.length;
      offset += chunk.length;
      if (this.#filled === WRITE_BYTES) await this.flush();
    }
  }

  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    const bytes = this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    await this.#write(bytes);
  }
}

function algorithmName({ algorithm }: FileHash): string {
  return algorithm === "sha256" ? "SHA-256" : "git hash";
}

/**
 * A file's bytes, from the hub to their place: what is there is kept and the rest asked for by range,
 * however often the connection is lost, and all of it is held against the file's hash at the end.
 */

import { InferenceError } from "../core/errors.ts";
import { type HubClient, HubStatusError } from "./hub_http.ts";
import type { FileHash, HubFile } from "./names.ts";
import { FileChangedError, normalizeEtag, type RemoteFile } from "./repository.ts";
import { throwIfCancelled, TransientError } from "./retry.ts";

/** A file being filled from its beginning; nobody else writes it. */
export interface PartialFile {
  /** Bytes that are in it. */
  readonly size: number;
  /** These bytes, in pieces. */
  read(): AsyncIterable<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Makes it empty. */
  clear(): Promise<void>;
}

/** A hash of what is put into it. */
export interface Digest {
  update(bytes: Uint8Array): void;
  hex(): string;
}

export interface DownloadOptions {
  digest: (algorithm: "sha256" | "sha1") => Digest;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What came is not what the hub says the file is: nothing of it can be gone on with. */
export class CorruptDownloadError extends InferenceError {
  constructor(file: HubFile, problem: string) {
    super("file_error", `Cannot use ${file.path}: ${problem}`, { param: file.path });
  }
}

/** Bytes that are written at once; what has come in is lost with the process up to these. */
const PIECE = 1 << 20;

/**
 * Fills `part` with the file, from where it ends.
 *
 * @throws FileChanged; Refusal; DamagedDownload; InferenceError `hub_error`, `cancelled`.
 */
export async function download(
  http: HubClient,
  file: RemoteFile,
  part: PartialFile,
  { digest, onProgress = () => {} }: DownloadOptions,
): Promise<void> {
  if (part.size > file.size) await part.clear();
  let sum = await hashSoFar(http, file, part, digest);
  let furthest = part.size;
  onProgress(part.size, file.size);
  await http.withRetries(async (progressed) => {
    if (part.size === file.size) return;
    const response = await request(http, file, part.size);
    if (part.size > 0 && response.status !== 206) {
      // A server that knows no ranges: all of it again.
      await part.clear();
      sum = startDigest(file.hash, file.size, digest);
    }
    const pieces = new Pieces(async (bytes) => {
      if (part.size + bytes.length > file.size) {
        throw new CorruptDownloadError(file, `more than its ${file.size} bytes came`);
      }
      await part.append(bytes);
      sum.update(bytes);
      if (part.size > furthest) {
        furthest = part.size;
        progressed();
      }
      onProgress(part.size, file.size);
    });
    try {
      for await (const bytes of http.body(response)) await pieces.push(bytes);
    } finally {
      // Also what came before a cut.
      await pieces.flush();
    }
    if (part.size < file.size) throw lost(part.size);
  });
  const hex = sum.hex();
  if (hex !== file.hash.hex) {
    throw new CorruptDownloadError(
      file,
      `the ${named(file.hash)} of what came is ${hex} and should be ${file.hash.hex}; it is ` +
        "removed, and the same command downloads it anew",
    );
  }
}

/** The digest of a file that is to hash to `hash`, before its first byte. */
export function startDigest(
  hash: FileHash,
  size: number,
  digest: DownloadOptions["digest"],
): Digest {
  const sum = digest(hash.algorithm === "sha256" ? "sha256" : "sha1");
  if (hash.algorithm === "git-sha1") sum.update(new TextEncoder().encode(`blob ${size}\0`));
  return sum;
}

async function hashSoFar(
  { signal }: HubClient,
  file: RemoteFile,
  part: PartialFile,
  digest: DownloadOptions["digest"],
): Promise<Digest> {
  const sum = startDigest(file.hash, file.size, digest);
  for await (const bytes of part.read()) {
    throwIfCancelled(signal);
    sum.update(bytes);
  }
  return sum;
}

/** The file from `offset` on; from its beginning where the server knows no ranges. */
async function request(http: HubClient, file: RemoteFile, offset: number): Promise<Response> {
  const headers: HeadersInit = offset > 0 ? { range: `bytes=${offset}-` } : {};
  let response: Response;
  try {
    response = await http.get(file.url, headers);
  } catch (error) {
    // No such range: the file is shorter than it was.
    if (error instanceof HubStatusError && error.status === 416) throw new FileChangedError(file.path);
    throw error;
  }
  if (isOther(http, file, response, offset)) {
    await response.body?.cancel();
    throw new FileChangedError(file.path);
  }
  return response;
}

/** Whether what comes is not the rest of the file that was described. */
function isOther(http: HubClient, file: RemoteFile, response: Response, offset: number): boolean {
  const { headers, status, url } = response;
  // A tag of elsewhere is no tag of the hub's.
  const ofHub = new URL(url).origin === new URL(http.endpoint).origin;
  const tag = headers.get("x-linked-etag") ?? (ofHub ? headers.get("etag") : null);
  if (tag !== null && normalizeEtag(tag) !== file.etag) return true;
  if (status !== 206) {
    const length = headers.get("content-length");
    return length !== null && Number(length) !== file.size;
  }
  const range = headers.get("content-range")?.match(/^bytes (\d+)-\d+\/(\d+)$/);
  return !range || Number(range[1]) !== offset || Number(range[2]) !== file.size;
}

/** Small chunks made into large pieces. */
class Pieces {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #buffer = new Uint8Array(PIECE);
  #filled = 0;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  async push(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const taken = bytes.subarray(at, at + PIECE - this.#filled);
      this.#buffer.set(taken, this.#filled);
      this.#filled += taken.length;
      at += taken.length;
      if (this.#filled === PIECE) await this.flush();
    }
  }

  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    const bytes = this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    await this.#write(bytes);
  }
}

function lost(at: number): TransientError {
  return new TransientError(`The connection ended after ${at} bytes`);
}

function named({ algorithm }: FileHash): string {
  return algorithm === "sha256" ? "SHA-256" : "git hash";
}

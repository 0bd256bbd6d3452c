/**
 * Downloads a single file of a model. The file is called `NAME.TAG.part` until it is complete and
 * its hash matches the hub's. The tag identifies the content, so that the partial download of
 * another version is never resumed.
 */

import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import {
  CorruptDownloadError,
  type Digest,
  download,
  type PartialFile,
  startDigest,
} from "../hub/download.ts";
import type { HubClient } from "../hub/hub_client.ts";
import type { RemoteFile } from "../hub/repository.ts";
import { removeSymlink, syncDirectory } from "./file_sink.ts";
import { removeIfExists } from "./model_cache.ts";
import { formatBytes } from "../core/units.ts";

/** Bytes per read when an existing file is hashed. */
const READ_BYTES = 1 << 20;

/** Bytes of disk space that must remain free after a download. */
const RESERVED_BYTES = 16 * 1024 * 1024;

/**
 * Downloads `file` to `folder` as `name` and resumes a partial download. The caller must exclude
 * concurrent downloads.
 *
 * @throws The errors of `download`; InferenceError `file_error` if disk space is insufficient.
 */
export async function downloadFile(
  http: HubClient,
  file: RemoteFile,
  { folder, name, onResume, onProgress }: {
    folder: string;
    name: string;
    /** Receives the size of the partial download before it is resumed. */
    onResume?: ((bytes: number) => void) | undefined;
    onProgress?: ((done: number, total: number) => void) | undefined;
  },
): Promise<void> {
  const partName = `${name}.${await shortDigest(file.etag)}.part`;
  const path = join(folder, partName);
  await removeOtherParts(folder, name, partName);
  await removeSymlink(path);
  const part = await PartFile.open(path);
  let keep = true;
  try {
    await checkDiskSpace(folder, file, part.size);
    if (part.size > 0) onResume?.(part.size);
    await download(http, file, part, { digest: createDigest, onProgress });
    await part.sync();
  } catch (error) {
    keep = !(error instanceof CorruptDownloadError);
    throw error;
  } finally {
    part.close();
    if (!keep || part.size === 0) await removeIfExists(path);
  }
  await Deno.rename(path, join(folder, name));
  await syncDirectory(join(folder, name));
}

/** Returns whether a file exists and matches the size and hash on the hub. */
export async function matchesRemoteFile(
  path: string,
  { size, hash }: RemoteFile,
): Promise<boolean> {
  let part: PartFile;
  try {
    if ((await Deno.stat(path)).size !== size) return false;
    part = await PartFile.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  try {
    const sum = startDigest(hash, size, createDigest);
    for await (const bytes of part.read()) sum.update(bytes);
    return sum.hex() === hash.hex;
  } finally {
    part.close();
  }
}

/** Removes partial downloads of other versions of the file. */
async function removeOtherParts(folder: string, name: string, current: string): Promise<void> {
  for await (const entry of Deno.readDir(folder)) {
    if (
      entry.name.startsWith(`${name}.`) && entry.name.endsWith(".part") && entry.name !== current
    ) {
      await Deno.remove(join(folder, entry.name));
    }
  }
}

async function shortDigest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex().slice(0, 12);
}

/** Creates a hash with `node:crypto`, which is several times faster than a hash in TypeScript. */
export function createDigest(algorithm: "sha256" | "sha1"): Digest {
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest("hex") };
}

/** @throws InferenceError `file_error` if the free disk space is known and insufficient. */
async function checkDiskSpace(
  folder: string,
  file: RemoteFile,
  existingBytes: number,
): Promise<void> {
  let free: number;
  try {
    const { bavail, bsize } = await statfs(folder);
    free = Number(bavail) * Number(bsize);
  } catch {
    // Not every system reports the free space, and the permission may be missing.
    return;
  }
  const needed = file.size - existingBytes;
  if (free < needed + RESERVED_BYTES) {
    throw diskFullError(folder, `${formatBytes(free)} free, ${formatBytes(needed)} needed`);
  }
}

function diskFullError(path: string, reason: string, cause?: unknown): InferenceError {
  return new InferenceError(
    "file_error",
    `Cannot write to ${path}: the disk is full (${reason}); ` +
      "remove a model (`deno task rwkv rm`), or name a folder on another disk with RWKV_HOME",
    { param: path, cause },
  );
}

/** A partial download on disk. New bytes are appended. */
class PartFile implements PartialFile {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  #size: number;

  private constructor(path: string, file: Deno.FsFile, size: number) {
    this.#path = path;
    this.#file = file;
    this.#size = size;
  }

  static async open(path: string): Promise<PartFile> {
    const file = await Deno.open(path, { read: true, write: true, create: true });
    const { size } = await file.stat();
    return new PartFile(path, file, size);
  }

  get size(): number {
    return this.#size;
  }

  async *read(): AsyncIterable<Uint8Array> {
    await this.#file.seek(0, Deno.SeekMode.Start);
    const buffer = new Uint8Array(READ_BYTES);
    for (let at = 0; at < this.#size;) {
      const count = await this.#file.read(buffer.subarray(0, this.#size - at));
      if (count === null) break;
      at += count;
      yield buffer.subarray(0, count);
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await this.#file.seek(this.#size, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    } catch (cause) {
      const { code, message } = cause as { code?: string; message: string };
      if (code === "ENOSPC" || code === "EDQUOT") {
        throw diskFullError(this.#path, "the partial download is kept", cause);
      }
      throw new InferenceError("file_error", `Cannot write ${this.#path}: ${message}`, { cause });
    }
    this.#size += bytes.length;
  }

  async clear(): Promise<void> {
    await this.#file.truncate();
    this.#size = 0;
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): void {
    this.#file.close();
  }
}

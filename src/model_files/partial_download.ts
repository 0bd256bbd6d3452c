/**
 * One file of a model, from the hub to its folder: it is `NAME.TAG.part` until it is whole and what
 * the hub says it is, and gets its name only then. The tag is of the file's content, so that what is
 * left of another one is never gone on with.
 */

import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { CorruptDownloadError, type Digest, download, type PartialFile, startDigest } from "../hub/download.ts";
import type { HubClient } from "../hub/hub_client.ts";
import type { RemoteFile } from "../hub/repository.ts";
import { removeSymlink, syncDirectory } from "./file_sink.ts";
import { removeIfExists } from "./model_cache.ts";
import { formatBytes } from "../core/units.ts";

/** Bytes that are read at once to hash what is there. */
const READ_BYTES = 1 << 20;

/** Bytes that a disk is to have left when a download is done. */
const SPARE_BYTES = 16 * 1024 * 1024;

/**
 * Downloads `file` as `name` into `folder`, going on with what is there of it; the caller sees to it
 * that nobody else does.
 *
 * @throws What `download` throws; InferenceError `file_error` also where there is no room.
 */
export async function downloadFile(
  http: HubClient,
  file: RemoteFile,
  { folder, name, onResume, onProgress }: {
    folder: string;
    name: string;
    /** Told how much of it is there already. */
    onResume?: ((bytes: number) => void) | undefined;
    onProgress?: ((done: number, total: number) => void) | undefined;
  },
): Promise<void> {
  const partName = `${name}.${await shortDigest(file.etag)}.part`;
  const path = join(folder, partName);
  await removeOtherParts(folder, name, partName);
  await removeSymlink(path);
  const part = await PartFile.open(path);
  let kept = true;
  try {
    await checkRoom(folder, file, part.size);
    if (part.size > 0) onResume?.(part.size);
    await download(http, file, part, { digest: createDigest, onProgress });
    await part.sync();
  } catch (error) {
    kept = !(error instanceof CorruptDownloadError);
    throw error;
  } finally {
    part.close();
    if (!kept || part.size === 0) await removeIfExists(path);
  }
  await Deno.rename(path, join(folder, name));
  await syncDirectory(join(folder, name));
}

/** Whether a file is there already, whole and as the hub says it is. */
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

/** What remains of older tries at another content of the same name. */
async function removeOtherParts(folder: string, name: string, own: string): Promise<void> {
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.startsWith(`${name}.`) && entry.name.endsWith(".part") && entry.name !== own) {
      await Deno.remove(join(folder, entry.name));
    }
  }
}

async function shortDigest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex().slice(0, 12);
}

/** A hash of the system's library, which is several times as fast as one in this language. */
export function createDigest(algorithm: "sha256" | "sha1"): Digest {
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest("hex") };
}

/** @throws InferenceError `file_error` where the disk is known to have too little room. */
async function checkRoom(folder: string, file: RemoteFile, there: number): Promise<void> {
  let free: number;
  try {
    const { bavail, bsize } = await statfs(folder);
    free = Number(bavail) * Number(bsize);
  } catch {
    // Not every system tells, nor every permission lets it.
    return;
  }
  const needed = file.size - there;
  if (free < needed + SPARE_BYTES) {
    throw noRoom(folder, `${formatBytes(free)} are free and ${formatBytes(needed)} are needed`);
  }
}

function noRoom(path: string, why: string, cause?: unknown): InferenceError {
  return new InferenceError(
    "file_error",
    `Cannot write to ${path}: there is no room, ${why}; ` +
      "remove something (`rwkv rm`), or name another disk's folder with RWKV_HOME",
    { param: path, cause },
  );
}

/** A part on disk, written at its end. */
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
        throw noRoom(this.#path, "the disk is full, and what came is kept", cause);
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

/**
 * Files that appear whole or not at all: written beside their place, under a lock, and renamed. The
 * lock is the system's, so it ends with its process, however that ends.
 */

import { dirname } from "node:path";
import { InferenceError } from "../core/errors.ts";
import type { ByteSink } from "../formats/byte_sink.ts";

/**
 * Makes the file `path` from what `write` writes, over an older one if there is one. Until all is
 * written and safe on disk, it is in `${path}.part`; where anything fails, that is removed and `path`
 * left as it was.
 *
 * @param options.mode Permissions of a new file; those of an older one stay.
 * @param options.signal Aborting it makes the sink's next write fail.
 * @returns What `write` returned.
 * @throws InferenceError `file_error` where the file cannot be written, also because another process
 * is writing it; `cancelled` after `signal`. What `write` throws passes through.
 */
export async function writeFileAtomic<T>(
  path: string,
  write: (sink: ByteSink) => Promise<T>,
  { signal, mode }: { signal?: AbortSignal; mode?: number } = {},
): Promise<T> {
  const part = `${path}.part`;
  checkSignal(path, signal);
  const file = await attempt(path, () => openLocked(path, { part, mode }));
  const sink = new FileSink(path, { file, signal });
  try {
    await attempt(path, () => file.truncate());
    const result = await write(sink);
    await attempt(path, () => file.sync());
    checkSignal(path, signal);
    await attempt(path, () => Deno.rename(part, path));
    await syncDirectory(path);
    return result;
  } catch (error) {
    // Still under the lock, so it is not another process's.
    await Deno.remove(part).catch(() => {});
    throw error;
  } finally {
    file.close();
  }
}

class FileSink implements ByteSink {
  readonly name: string;
  readonly #file: Deno.FsFile;
  readonly #signal: AbortSignal | undefined;
  /** The write before the next one: the file has one position, which each write moves. */
  #last: Promise<void> = Promise.resolve();

  constructor(
    name: string,
    { file, signal }: { file: Deno.FsFile; signal: AbortSignal | undefined },
  ) {
    this.name = name;
    this.#file = file;
    this.#signal = signal;
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    const written = this.#last.then(() => this.#writeNow(offset, bytes));
    this.#last = written.catch(() => {});
    return written;
  }

  async #writeNow(offset: number, bytes: Uint8Array): Promise<void> {
    checkSignal(this.name, this.#signal);
    await attempt(this.name, async () => {
      await this.#file.seek(offset, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    });
  }
}

/** The `.part` file with its lock; what is in it is still there. */
async function openLocked(
  path: string,
  { part, mode }: { part: string; mode: number | undefined },
): Promise<Deno.FsFile> {
  // A rename puts a file over a device or a link to one, and fails over a folder only at the end.
  const old = await unlessMissing(Deno.stat(path));
  if (old && !old.isFile) throw new Error("it exists and is no regular file");
  await removeSymlink(part);
  const permissions = old?.mode ?? mode ?? 0o666;
  const file = await Deno.open(part, {
    read: true,
    write: true,
    create: true,
    mode: permissions & 0o777,
  });
  try {
    // A process that has just finished may have renamed or removed what was opened here.
    const mine = await file.tryLock(true) && await isAt(file, part);
    if (!mine) throw new Error("another process is writing it");
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Removes a link where a file is to be made: nothing is written to where it leads. */
export async function removeSymlink(path: string): Promise<void> {
  if ((await unlessMissing(Deno.lstat(path)))?.isSymlink) await Deno.remove(path);
}

async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  const opened = await file.stat();
  const named = await unlessMissing(Deno.stat(path));
  return named !== null && named.dev === opened.dev && named.ino === opened.ino;
}

async function unlessMissing(info: Promise<Deno.FileInfo>): Promise<Deno.FileInfo | null> {
  try {
    return await info;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Makes the rename itself last; not every system can, and the file is whole without it. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    using folder = await Deno.open(dirname(path));
    await folder.sync();
  } catch {
    // Nothing to be done.
  }
}

/** A step on the file; a permission that is not granted is told by the command line. */
async function attempt<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new InferenceError("file_error", `Cannot write ${path}: ${(cause as Error).message}`, {
      cause,
      param: path,
    });
  }
}

function checkSignal(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new InferenceError("cancelled", `Cannot write ${path}: it was cancelled`);
  }
}

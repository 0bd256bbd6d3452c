/**
 * Atomic file writes: the content goes to a temporary file under a lock, which is then renamed. The
 * operating system releases the lock when the process ends, also after a crash.
 */

import { dirname } from "node:path";
import { InferenceError } from "../core/errors.ts";
import type { ByteSink } from "../formats/byte_sink.ts";

/**
 * Writes the file `path` atomically and replaces an existing file. Until the content is complete
 * and flushed to disk, it is in `${path}.part`. On failure the temporary file is removed and `path`
 * is unchanged.
 *
 * @param options.mode Permissions of a new file. An existing file keeps its own.
 * @param options.signal Aborting it makes the next write to the sink fail.
 * @returns The result of `write`.
 * @throws InferenceError `file_error` if the file cannot be written or another process is writing
 * it; `cancelled` after `signal`. Errors of `write` are rethrown.
 */
export async function writeFileAtomic<T>(
  path: string,
  write: (sink: ByteSink) => Promise<T>,
  { signal, mode }: { signal?: AbortSignal; mode?: number } = {},
): Promise<T> {
  const part = `${path}.part`;
  throwIfCancelled(path, signal);
  const file = await withFileErrors(path, () => openLocked(path, { part, mode }));
  const sink = new FileSink(path, { file, signal });
  try {
    await withFileErrors(path, () => file.truncate());
    const result = await write(sink);
    await withFileErrors(path, () => file.sync());
    throwIfCancelled(path, signal);
    await withFileErrors(path, () => Deno.rename(part, path));
    await syncDirectory(path);
    return result;
  } catch (error) {
    // The lock is still held, so this is not the file of another process.
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
  /** The previous write. Writes run one after another because each one moves the file position. */
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
    throwIfCancelled(this.name, this.#signal);
    await withFileErrors(this.name, async () => {
      await this.#file.seek(offset, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    });
  }
}

/** Opens the `.part` file and locks it, without truncating it. */
async function openLocked(
  path: string,
  { part, mode }: { part: string; mode: number | undefined },
): Promise<Deno.FsFile> {
  // A rename would replace a device or a link to one, and would fail on a folder only at the end.
  const old = await unlessMissing(Deno.stat(path));
  if (old && !old.isFile) throw new Error("it is not a regular file");
  await removeSymlink(part);
  const permissions = old?.mode ?? mode ?? 0o666;
  const file = await Deno.open(part, {
    read: true,
    write: true,
    create: true,
    mode: permissions & 0o777,
  });
  try {
    // A process that has just finished may have renamed or removed the file that was opened here.
    const owned = await file.tryLock(true) && await isAt(file, part);
    if (!owned) throw new Error("another process is writing it");
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Removes a symbolic link at the path of a new file, so that nothing is written to its target. */
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

/**
 * Flushes a rename to disk. Failure is ignored: not every system supports it, and the file is
 * complete without it.
 */
export async function syncDirectory(path: string): Promise<void> {
  try {
    using folder = await Deno.open(dirname(path));
    await folder.sync();
  } catch {
    // Not supported here.
  }
}

/** Runs a file operation and converts its errors. The command line reports missing permissions. */
async function withFileErrors<T>(path: string, step: () => Promise<T>): Promise<T> {
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

function throwIfCancelled(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new InferenceError("cancelled", `Cannot write ${path}: it was cancelled`);
  }
}

/**
 * The cache of pulled models. Each model has a folder with its weights, its vocabulary and a record
 * of its origin. The record is written last: a folder without a record is incomplete.
 */

import { dirname, isAbsolute, join } from "node:path";
import { z } from "zod";
import { InferenceError } from "../core/errors.ts";
import { isSafeName } from "../hub/names.ts";
import { removeSymlink, writeFileAtomic } from "./file_sink.ts";
import { usageError } from "../settings/flags.ts";

const RECORD = "pulled.json";

/** Milliseconds between attempts to take a lock. */
const LOCK_POLL = 250;

const recordSchema = z.object({
  /** Origin on the hub. */
  repo: z.string(),
  path: z.string(),
  etag: z.string(),
  /** The model file in this folder, and alternative names of the model, such as `0.4b`. */
  file: z.string().refine(isSafeName),
  /** The shards, if the model file is an index. */
  parts: z.array(z.object({ file: z.string().refine(isSafeName), bytes: z.number() })).default([]),
  names: z.array(z.string()),
  bytes: z.number(),
  pulled: z.iso.datetime(),
  /** RWKV version and parameter count, or null if this worker cannot read the file. */
  version: z.string().nullable(),
  parameters: z.number().nullable(),
  /** Quantization of a converted file. */
  quant: z.string().nullable(),
  vocabulary: z.boolean(),
});

/** The record of a pulled model. */
export type PulledRecord = z.infer<typeof recordSchema>;

export interface CachedModel {
  name: string;
  folder: string;
  /** Null if the download is incomplete. */
  record: PulledRecord | null;
  /** Size of all files in the folder. */
  bytes: number;
  modified: Date;
}

/**
 * Returns the root folder of the cache: `RWKV_HOME`, or `rwkv` in the cache folder of this system.
 *
 * @throws InferenceError `usage` if the environment names no such folder.
 */
export function cacheRoot(env: (name: string) => string | undefined = Deno.env.get): string {
  const configured = env("RWKV_HOME");
  if (configured) return configured;
  const xdg = env("XDG_CACHE_HOME");
  if (xdg && isAbsolute(xdg)) return join(xdg, "rwkv");
  const local = Deno.build.os === "windows" ? env("LOCALAPPDATA") : undefined;
  if (local) return join(local, "rwkv");
  const home = env("HOME");
  if (home) return join(home, ".cache", "rwkv");
  throw usageError("Cannot find the model cache: HOME is not set; name a folder with RWKV_HOME");
}

export class ModelCache {
  readonly root: string;

  constructor(root: string = cacheRoot()) {
    this.root = root;
  }

  /** Returns all models, complete or not, sorted by name. */
  async list(): Promise<CachedModel[]> {
    const models = join(this.root, "models");
    const found: CachedModel[] = [];
    try {
      for await (const { name, isDirectory } of Deno.readDir(models)) {
        if (isDirectory && isSafeName(name)) found.push(await describe(join(models, name), name));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return found.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /**
   * Finds a complete model by its name, an alternative name such as `0.4b`, its file name, or its
   * repository. Prefers the model that was pulled last.
   */
  async find(name: string): Promise<CachedModel | null> {
    const models = (await this.list()).filter(({ record: writeRecord }) => writeRecord !== null);
    const lowerCaseName = name.toLowerCase();
    const criteria: ((model: CachedModel) => boolean)[] = [
      (model) => model.name === name,
      (model) => model.name.toLowerCase() === lowerCaseName,
      ({ record }) => record!.names.some((name) => name.toLowerCase() === lowerCaseName),
      ({ record }) => record!.file.toLowerCase() === lowerCaseName,
      ({ record }) => record!.repo.toLowerCase() === lowerCaseName,
    ];
    for (const matches of criteria) {
      const [last] = models.filter(matches).sort((a, b) => pulledAt(b) - pulledAt(a));
      if (last) return last;
    }
    return null;
  }

  /**
   * Returns the folder of a model and creates it if it does not exist.
   *
   * @param name A safe file name.
   */
  async createFolder(name: string): Promise<string> {
    const folder = this.#path(name);
    await Deno.mkdir(folder, { recursive: true });
    if ((await Deno.lstat(folder)).isSymlink) {
      throw new InferenceError(
        "file_error",
        `Cannot write to ${folder}: it is a symbolic link, which is not followed; remove it, or ` +
          "name a folder on another disk with RWKV_HOME",
        { param: folder },
      );
    }
    return folder;
  }

  /** Returns the current entry, or null. */
  async get(name: string): Promise<CachedModel | null> {
    const folder = this.#path(name);
    try {
      return await describe(folder, name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** Writes the record, which marks the folder as complete. */
  async record(name: string, record: PulledRecord): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`);
    await writeFileAtomic(join(this.#path(name), RECORD), (sink) => sink.write(0, bytes));
  }

  /** Deletes the record, which marks the folder as incomplete, before its files are replaced. */
  async deleteRecord(name: string): Promise<void> {
    await removeIfExists(join(this.#path(name), RECORD));
  }

  /** Removes a model and its files. The caller must hold the lock. */
  async remove(name: string): Promise<void> {
    // An interrupted removal leaves a folder that is marked as incomplete.
    await this.deleteRecord(name);
    await Deno.remove(this.#path(name), { recursive: true });
  }

  /** Removes the folder of a failed download if it is empty. */
  async removeIfEmpty(name: string): Promise<void> {
    // Fails for a folder with files, which is intended.
    await Deno.remove(this.#path(name)).catch(() => {});
  }

  /**
   * Runs `work` under the lock of a model, which excludes other processes. The operating system
   * releases the lock when the process ends, also after a crash.
   *
   * @param options.onWait Called once if another process has the lock. An error that it throws ends
   * the wait.
   */
  async withLock<T>(
    name: string,
    work: () => Promise<T>,
    { onWait, signal }: { onWait: () => void; signal?: AbortSignal | undefined },
  ): Promise<T> {
    const path = join(this.root, "locks", `${name}.lock`);
    await Deno.mkdir(dirname(path), { recursive: true });
    await removeSymlink(path);
    using file = await Deno.open(path, { read: true, write: true, create: true });
    let notified = false;
    while (!await file.tryLock(true)) {
      if (!notified) onWait();
      notified = true;
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL));
      if (signal?.aborted) {
        throw new InferenceError("cancelled", "Cancelled while waiting for another process");
      }
    }
    return await work();
  }

  #path(name: string): string {
    if (!isSafeName(name)) throw new Error(`not a safe model name: ${JSON.stringify(name)}`);
    return join(this.root, "models", name);
  }
}

async function describe(folder: string, name: string): Promise<CachedModel> {
  let bytes = 0;
  let modified = new Date(0);
  for await (const entry of Deno.readDir(folder)) {
    const info = await Deno.lstat(join(folder, entry.name)).catch(() => null);
    bytes += info?.size ?? 0;
    if (info?.mtime && info.mtime > modified) modified = info.mtime;
  }
  return { name, folder, record: await readRecord(folder), bytes, modified };
}

/** Returns null if the record is missing or invalid, or if a file's size has changed. */
async function readRecord(folder: string): Promise<PulledRecord | null> {
  try {
    const record = parseRecord(await Deno.readTextFile(join(folder, RECORD)));
    for (const { file, bytes } of [record, ...record.parts]) {
      if ((await Deno.stat(join(folder, file))).size !== bytes) return null;
    }
    return record;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return null;
  }
}

/** Parses a record. Throws if it is invalid. */
export function parseRecord(text: string): PulledRecord {
  return recordSchema.parse(JSON.parse(text));
}

function pulledAt({ record }: CachedModel): number {
  return Date.parse(record!.pulled);
}

/** Removes a file if it exists. */
export async function removeIfExists(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

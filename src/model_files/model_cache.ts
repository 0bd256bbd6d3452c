/**
 * Models that were pulled: a folder for each, with the model, its vocabulary and a record of where it
 * comes from, which is written last. What has no record is not whole.
 */

import { dirname, isAbsolute, join } from "node:path";
import { z } from "zod";
import { InferenceError } from "../core/errors.ts";
import { isSafeName } from "../hub/names.ts";
import { removeSymlink, writeFileAtomic } from "./file_sink.ts";
import { usageError } from "../settings/flags.ts";

const RECORD = "pulled.json";

/** Milliseconds between two looks at a lock that another process has. */
const LOCK_POLL = 250;

const recordSchema = z.object({
  /** Where it comes from. */
  repo: z.string(),
  path: z.string(),
  etag: z.string(),
  /** The file in this folder, and what else it answers to, as `0.4b`. */
  file: z.string().refine(isSafeName),
  /** The shards beside it, if that file is an index. */
  parts: z.array(z.object({ file: z.string().refine(isSafeName), bytes: z.number() })).default([]),
  names: z.array(z.string()),
  bytes: z.number(),
  pulled: z.iso.datetime(),
  /** RWKV version and parameters, null where the file is none that this worker reads. */
  version: z.string().nullable(),
  parameters: z.number().nullable(),
  /** How matrices are held in a converted file. */
  quant: z.string().nullable(),
  vocabulary: z.boolean(),
});

/** What is known of a pulled model. */
export type PulledRecord = z.infer<typeof recordSchema>;

export interface CachedModel {
  name: string;
  folder: string;
  /** Null where it has not been downloaded whole. */
  record: PulledRecord | null;
  /** Of everything in the folder. */
  bytes: number;
  modified: Date;
}

/**
 * The folder of everything that is pulled: `RWKV_HOME`, else `rwkv` where this system keeps caches.
 *
 * @throws InferenceError `usage` where nothing says where that is.
 */
export function cacheRoot(env: (name: string) => string | undefined = Deno.env.get): string {
  const own = env("RWKV_HOME");
  if (own) return own;
  const xdg = env("XDG_CACHE_HOME");
  if (xdg && isAbsolute(xdg)) return join(xdg, "rwkv");
  const local = Deno.build.os === "windows" ? env("LOCALAPPDATA") : undefined;
  if (local) return join(local, "rwkv");
  const home = env("HOME");
  if (home) return join(home, ".cache", "rwkv");
  throw usageError("Cannot tell where pulled models are: name a folder for them with RWKV_HOME");
}

export class ModelCache {
  readonly root: string;

  constructor(root: string = cacheRoot()) {
    this.root = root;
  }

  /** Everything that is there, by name. */
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
   * The whole model that a name means: its own, a short one as `0.4b`, its file's, or its
   * repository's. Of several the one that was pulled last.
   */
  async find(name: string): Promise<CachedModel | null> {
    const models = (await this.list()).filter(({ record: writeRecord }) => writeRecord !== null);
    const wanted = name.toLowerCase();
    const ways: ((model: CachedModel) => boolean)[] = [
      (model) => model.name === name,
      (model) => model.name.toLowerCase() === wanted,
      ({ record }) => record!.names.some((name) => name.toLowerCase() === wanted),
      ({ record }) => record!.file.toLowerCase() === wanted,
      ({ record }) => record!.repo.toLowerCase() === wanted,
    ];
    for (const way of ways) {
      const [last] = models.filter(way).sort((a, b) => pulledAt(b) - pulledAt(a));
      if (last) return last;
    }
    return null;
  }

  /** The folder of a model, which is made if need be. @param name A safe one. */
  async createFolder(name: string): Promise<string> {
    const folder = this.#path(name);
    await Deno.mkdir(folder, { recursive: true });
    if ((await Deno.lstat(folder)).isSymlink) {
      throw new InferenceError(
        "file_error",
        `Cannot write to ${folder}: it is a link, and no model is looked for there; remove it, or ` +
          "name another disk's folder with RWKV_HOME",
        { param: folder },
      );
    }
    return folder;
  }

  /** As it is now, or null. */
  async get(name: string): Promise<CachedModel | null> {
    const folder = this.#path(name);
    try {
      return await describe(folder, name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** Says that what is in the folder is whole. */
  async record(name: string, record: PulledRecord): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`);
    await writeFileAtomic(join(this.#path(name), RECORD), (sink) => sink.write(0, bytes));
  }

  /** Says that the folder's content is not whole, before some of its files are replaced. */
  async deleteRecord(name: string): Promise<void> {
    await removeIfExists(join(this.#path(name), RECORD));
  }

  /** Removes a model and all that belongs to it; the caller has its lock. */
  async remove(name: string): Promise<void> {
    // Cut short, this leaves something that is not whole and says so.
    await this.deleteRecord(name);
    await Deno.remove(this.#path(name), { recursive: true });
  }

  /** Removes a folder into which nothing has come after all. */
  async removeIfEmpty(name: string): Promise<void> {
    // Of one with anything in it, that fails, as it should.
    await Deno.remove(this.#path(name)).catch(() => {});
  }

  /**
   * Runs `work` while no other process works on this model. The lock is the system's: it ends with
   * its process, however that ends.
   *
   * @param options.onWait Called once if another process has it; throwing there ends the wait.
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
    let told = false;
    while (!await file.tryLock(true)) {
      if (!told) onWait();
      told = true;
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL));
      if (signal?.aborted) throw new InferenceError("cancelled", "Stopped waiting");
    }
    return await work();
  }

  #path(name: string): string {
    if (!isSafeName(name)) throw new Error(`not a name of a model: ${JSON.stringify(name)}`);
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

/** Null for one that is missing, damaged, or of a file that is not as it was recorded. */
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

/** What a record of any text tells; throws for one that is damaged. */
export function parseRecord(text: string): PulledRecord {
  return recordSchema.parse(JSON.parse(text));
}

function pulledAt({ record }: CachedModel): number {
  return Date.parse(record!.pulled);
}

/** Removes a file; one that is not there is as good as removed. */
export async function removeIfExists(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

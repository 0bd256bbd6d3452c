/** Opens the files of a model: one checkpoint, or an index and the shards that it names. */

import { dirname, join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { invalidCheckpoint } from "../formats/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../formats/checkpoint.ts";
import {
  joinShards,
  MAX_INDEX_BYTES,
  parseShardIndex,
  type ShardIndex,
} from "../formats/shards.ts";
import { loadModel, type Model, type ModelOptions } from "../model/load.ts";
import { randomCheckpoint } from "../model/random_checkpoint.ts";
import type { Quant } from "../quant/mod.ts";
import { openFile } from "./file_source.ts";
import type { ModelSource } from "./model_folder.ts";

/**
 * Opens a model. The content of the file tells what it is, whatever its name says.
 *
 * @throws InferenceError `invalid_checkpoint`; `file_error` naming a shard that is missing.
 */
export async function openModelFile(path: string, options: ModelOptions): Promise<Model> {
  const checkpoint = await openFiles(path);
  try {
    return await loadModel(checkpoint, options);
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

async function openFiles(path: string): Promise<Checkpoint> {
  const source = await openFile(path);
  let index;
  try {
    index = await readIndex(source);
  } catch (error) {
    await source.close();
    throw error;
  }
  if (!index) return await openCheckpoint(source);
  await source.close();
  const shards = new Map<string, Checkpoint>();
  try {
    for (const file of index.files) shards.set(file, await openShard(path, file));
    return joinShards(path, index, shards);
  } catch (error) {
    for (const shard of shards.values()) await shard.close();
    throw error;
  }
}

/** Returns the paths of all files of a model, the one that it is named by first. */
export async function modelPaths(path: string): Promise<string[]> {
  const source = await openFile(path);
  try {
    const { files = [] } = await readIndex(source) ?? {};
    return [path, ...files.map((file) => join(dirname(path), file))];
  } finally {
    await source.close();
  }
}

/** The index in a file; null for a file of tensors. */
async function readIndex(
  source: Awaited<ReturnType<typeof openFile>>,
): Promise<ShardIndex | null> {
  const head = await source.read(0, Math.min(8, source.size));
  // A safetensors file's first eight bytes may begin with a brace, and end with a zero then.
  const isText = head.length > 0 && !head.includes(0);
  if (!isText || !new TextDecoder().decode(head).trimStart().startsWith("{")) return null;
  if (source.size > MAX_INDEX_BYTES) {
    throw invalidCheckpoint(
      source.name,
      `it is JSON of ${source.size} bytes, and an index of shards has ${MAX_INDEX_BYTES} at most: ` +
        "name a model's file or its folder",
    );
  }
  const bytes = await source.read(0, source.size);
  return parseShardIndex(new TextDecoder().decode(bytes), source.name);
}

async function openShard(index: string, file: string): Promise<Checkpoint> {
  const path = join(dirname(index), file);
  try {
    await Deno.stat(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new InferenceError(
      "file_error",
      `Cannot open ${path}: it is missing, and ${index} names it as a part of the model; fetch it ` +
        "from where the index comes from",
      { param: path, cause },
    );
  }
  return await openCheckpoint(await openFile(path));
}

/** How matrices are held where neither flag nor file says. */
const DEFAULT_QUANT: Quant = "f16";

/** Opens a model, and tells how its matrices are to be held. */
export async function openModelSource(
  { from, ...options }: ModelSource,
  wanted: Quant | undefined,
): Promise<{ model: Model; quant: Quant }> {
  const quant = wanted ?? DEFAULT_QUANT;
  if ("shape" in from) {
    return { model: await loadModel(await randomCheckpoint(from.shape, quant), options), quant };
  }
  const model = await openModelFile(from.file, options);
  return { model, quant: wanted ?? model.converted?.quant ?? DEFAULT_QUANT };
}

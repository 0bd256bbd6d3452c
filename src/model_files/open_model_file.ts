/** Opens the files of a model: one checkpoint, or an index and its shards. */

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
 * Opens a model. The format is detected from the content, not from the file name.
 *
 * @throws InferenceError `invalid_checkpoint`; `file_error` with the path of a missing shard.
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

/** Returns the paths of all files of a model, starting with `path`. */
export async function modelPaths(path: string): Promise<string[]> {
  const source = await openFile(path);
  try {
    const { files = [] } = await readIndex(source) ?? {};
    return [path, ...files.map((file) => join(dirname(path), file))];
  } finally {
    await source.close();
  }
}

/** Returns the shard index in a file, or null if the file contains tensors. */
async function readIndex(
  source: Awaited<ReturnType<typeof openFile>>,
): Promise<ShardIndex | null> {
  const head = await source.read(0, Math.min(8, source.size));
  // The length field of a safetensors file can start with a brace, but then it ends with a zero
  // byte.
  const isText = head.length > 0 && !head.includes(0);
  if (!isText || !new TextDecoder().decode(head).trimStart().startsWith("{")) return null;
  if (source.size > MAX_INDEX_BYTES) {
    throw invalidCheckpoint(
      source.name,
      `it is JSON of ${source.size} bytes, and a shard index has at most ${MAX_INDEX_BYTES}: ` +
        "name a model file or its folder",
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
      `Cannot open ${path}: it is missing, and ${index} lists it as a shard; download it ` +
        "from the source of the index",
      { param: path, cause },
    );
  }
  return await openCheckpoint(await openFile(path));
}

/** Quantization if neither a flag nor the file selects one. */
const DEFAULT_QUANT: Quant = "f16";

/** Opens a model and determines the quantization to load it with. */
export async function openModelSource(
  { from, ...options }: ModelSource,
  requestedQuant: Quant | undefined,
): Promise<{ model: Model; quant: Quant }> {
  const quant = requestedQuant ?? DEFAULT_QUANT;
  if ("shape" in from) {
    return { model: await loadModel(await randomCheckpoint(from.shape, quant), options), quant };
  }
  const model = await openModelFile(from.file, options);
  return { model, quant: requestedQuant ?? model.converted?.quant ?? DEFAULT_QUANT };
}

/**
 * Sharded checkpoints: several files and a JSON index with the file of each tensor, as written by
 * Hugging Face's libraries for both safetensors and torch files.
 */

import { z } from "zod";
import { invalidCheckpoint } from "./byte_source.ts";
import type { Checkpoint, CheckpointFormat, TensorInfo } from "./checkpoint.ts";

/** Maximum size of an index in bytes; a large model needs some hundred thousand. */
export const MAX_INDEX_BYTES = 16 * 2 ** 20;

/** Maximum number of shards; all of them are open at the same time. */
const MAX_SHARDS = 1000;

const IndexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/** A parsed index. */
export interface ShardIndex {
  /** Names of the files in the index's folder, each once. */
  readonly files: readonly string[];
  /** The file of each tensor. */
  readonly fileOf: ReadonlyMap<string, string>;
}

/**
 * Parses an index.
 *
 * @param name Name in error messages.
 * @throws InferenceError `invalid_checkpoint` if it is malformed or names files outside its folder.
 */
export function parseShardIndex(text: string, name: string): ShardIndex {
  let fileOf: Map<string, string>;
  try {
    fileOf = new Map(Object.entries(IndexSchema.parse(JSON.parse(text)).weight_map));
  } catch (cause) {
    throw invalidCheckpoint(
      name,
      'it is not a shard index: "weight_map" is missing or malformed; pass a model ' +
        "file, its index (model.safetensors.index.json), or its folder",
      { cause },
    );
  }
  const files = [...new Set(fileOf.values())];
  const outside = files.find((file) => !/^[^/\\\0]+$/.test(file) || /^\.+$/.test(file));
  if (outside !== undefined) {
    throw invalidCheckpoint(
      name,
      `it names the shard ${
        JSON.stringify(outside.slice(0, 200))
      }, which is not a file in its folder: ` +
        "download the index again",
    );
  }
  if (files.length === 0 || files.length > MAX_SHARDS) {
    throw invalidCheckpoint(
      name,
      `it names ${files.length} shards instead of 1 to ${MAX_SHARDS}: download the index again`,
    );
  }
  return { files, fileOf };
}

/**
 * Joins open shards, by file name, to one checkpoint, which takes ownership of them.
 *
 * @throws InferenceError `invalid_checkpoint` if a tensor is missing from its shard or is in two shards.
 */
export function joinShards(
  name: string,
  { fileOf }: ShardIndex,
  shards: ReadonlyMap<string, Checkpoint>,
): Checkpoint {
  for (const [tensor, file] of fileOf) {
    if (!shards.get(file)?.tensors.has(tensor)) {
      throw invalidCheckpoint(
        name,
        `it names tensor "${tensor}" in ${file}, which does not contain it: download both files again`,
      );
    }
  }
  return new ShardedCheckpoint(name, shards);
}

class ShardedCheckpoint implements Checkpoint {
  readonly name: string;
  readonly format: CheckpointFormat;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #shards: readonly Checkpoint[];
  readonly #shardOf = new Map<string, Checkpoint>();

  constructor(name: string, shards: ReadonlyMap<string, Checkpoint>) {
    this.name = name;
    this.#shards = [...shards.values()];
    this.format = this.#shards[0].format;
    this.metadata = Object.assign({}, ...this.#shards.map(({ metadata }) => metadata));
    const tensors = new Map<string, TensorInfo>();
    for (const shard of this.#shards) {
      for (const [tensor, info] of shard.tensors) {
        const other = this.#shardOf.get(tensor);
        if (other) {
          throw invalidCheckpoint(
            name,
            `tensor "${tensor}" is in ${other.name} and in ${shard.name}: use shards of the same ` +
              "version of the model",
          );
        }
        this.#shardOf.set(tensor, shard);
        tensors.set(tensor, info);
      }
    }
    this.tensors = tensors;
  }

  read(name: string): Promise<Float32Array> {
    return this.#shard(name).read(name);
  }

  readRows(name: string, firstRow: number, rowCount: number): Promise<Float32Array> {
    return this.#shard(name).readRows(name, firstRow, rowCount);
  }

  readRaw(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array> {
    return this.#shard(name).readRaw(name, byteOffset, byteLength);
  }

  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.close();
  }

  #shard(tensor: string): Checkpoint {
    const shard = this.#shardOf.get(tensor);
    if (!shard) throw invalidCheckpoint(this.name, `has no tensor "${tensor}"`);
    return shard;
  }
}

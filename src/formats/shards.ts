/**
 * Checkpoints in several files (shards), with a JSON index that names the file of each tensor, as
 * Hugging Face's libraries write them for safetensors and for torch files alike.
 */

import { z } from "zod";
import { invalidCheckpoint } from "./byte_source.ts";
import type { Checkpoint, CheckpointFormat, TensorInfo } from "./checkpoint.ts";

/** Bytes of an index that are accepted; a large model's has some hundred thousand. */
export const MAX_INDEX_BYTES = 16 * 2 ** 20;

/** Shards that are accepted: all of them are open at once. */
const MAX_SHARDS = 1000;

const IndexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/** What an index says. */
export interface ShardIndex {
  /** Names of the files beside the index, each once. */
  readonly files: readonly string[];
  /** The file of each tensor. */
  readonly fileOf: ReadonlyMap<string, string>;
}

/**
 * Reads the text of an index.
 *
 * @param name What messages call it.
 * @throws InferenceError `invalid_checkpoint` for anything but an index of files in its own folder.
 */
export function parseShardIndex(text: string, name: string): ShardIndex {
  let fileOf: Map<string, string>;
  try {
    fileOf = new Map(Object.entries(IndexSchema.parse(JSON.parse(text)).weight_map));
  } catch (cause) {
    throw invalidCheckpoint(
      name,
      'it is JSON without a "weight_map" of tensors and files, so no index of shards: name a ' +
        "model's file, its index (model.safetensors.index.json), or its folder",
      { cause },
    );
  }
  const files = [...new Set(fileOf.values())];
  const outside = files.find((file) => !/^[^/\\\0]+$/.test(file) || /^\.+$/.test(file));
  if (outside !== undefined) {
    throw invalidCheckpoint(
      name,
      `it names the shard ${JSON.stringify(outside.slice(0, 200))}, which is no file beside it: ` +
        "fetch the index again",
    );
  }
  if (files.length === 0 || files.length > MAX_SHARDS) {
    throw invalidCheckpoint(
      name,
      `it names ${files.length} shards, and must name 1 to ${MAX_SHARDS}: fetch the index again`,
    );
  }
  return { files, fileOf };
}

/**
 * Joins open shards, by their files' names, to one checkpoint, which owns them from here on.
 *
 * @throws InferenceError `invalid_checkpoint` where a tensor is not in its shard, or in two.
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
        `it names tensor "${tensor}" in ${file}, which does not have it: fetch both files again`,
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
            `tensor "${tensor}" is in ${other.name} and in ${shard.name}: fetch the shards of one ` +
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

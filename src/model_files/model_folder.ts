/** Finds the files of a model at a path: the checkpoint, its config and its vocabulary. */

import { basename, dirname, join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { defaultModel, isIndexName, isModelName, modelStem, shardOf } from "../hub/model_names.ts";
import { configGroupNormEps, type ModelOptions } from "../model/load.ts";
import type { ModelSize } from "../model/architectures/registry.ts";

/** Origin of a model. Plain data, so that it can be posted to a Web Worker. */
export interface ModelSource extends ModelOptions {
  /** Path of a checkpoint or of a shard index, or the size of a model with random weights. */
  from: { file: string } | { shape: ModelSize };
}

export interface ModelFiles {
  /** The model's id in the API: the name of the folder, or of the file without its extension. */
  id: string;
  source: ModelSource;
  /**
   * Path of the vocabulary, the word `bytes`, or null if there is no vocabulary beside the model.
   */
  vocabulary: string | null;
}

export function fileError(path: string, message: string, cause?: unknown): InferenceError {
  return new InferenceError("file_error", `Cannot use ${path}: ${message}`, { param: path, cause });
}

export interface FindModelFilesOptions {
  /** File information of the path, if already known. */
  info?: Deno.FileInfo;
  groupNormEps?: number | undefined;
  /** Overrides the vocabulary beside the model. */
  vocabulary?: string | undefined;
}

/**
 * Finds the files of the model at `path`.
 *
 * @throws InferenceError `file_error` with the path, unless there is exactly one checkpoint.
 */
export async function findModelFiles(
  path: string,
  { info: knownInfo, groupNormEps, vocabulary }: FindModelFilesOptions = {},
): Promise<ModelFiles> {
  const info = knownInfo ?? await Deno.stat(path);
  const folder = info.isDirectory ? path : dirname(path);
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry.name);
  if (!info.isDirectory) assertWhole(path, names);
  const file = info.isDirectory ? join(folder, onlyCheckpoint(folder, names)) : path;
  const name = info.isDirectory ? basename(await Deno.realPath(path)) : basename(path);
  return {
    id: modelStem(name),
    source: {
      from: { file },
      groupNormEps,
      configEps: names.includes("config.json")
        ? await configEps(join(folder, "config.json"))
        : undefined,
    },
    vocabulary: vocabulary ?? vocabularyBeside(folder, names),
  };
}

function onlyCheckpoint(folder: string, names: readonly string[]): string {
  const preferred = defaultModel(names);
  if (preferred !== null) return preferred;
  const found = names.filter(isModelName).sort();
  if (found.length > 0) {
    throw fileError(folder, `it contains several models (${found.join(", ")}); name one of them`);
  }
  const [shard] = names.filter((name) => shardOf(name) !== null).sort();
  throw fileError(
    folder,
    shard === undefined
      ? "it contains no model (a .pth, .safetensors, .st, .bin, .pt or .ckpt file); name a folder " +
        "with one"
      : `it contains shards of a model (${shard}) without their index; download the index, ` +
        "model.safetensors.index.json or pytorch_model.bin.index.json",
  );
}

/**
 * @throws InferenceError `file_error` if `path` is a single shard, which is not a complete model.
 */
function assertWhole(path: string, names: readonly string[]): void {
  const shard = shardOf(basename(path));
  if (shard === null) return;
  const index = names.filter(isIndexName).sort();
  throw fileError(
    path,
    `it is shard ${shard.part} of ${shard.of} of a model; ` +
      (index.length > 0
        ? `name the index, ${index.join(" or ")}`
        : "download all shards and their index, and name the index"),
  );
}

/** Prefers text over JSON, because a JSON file may belong to another tokenizer. */
function vocabularyBeside(folder: string, names: readonly string[]): string | null {
  const found = [/^(rwkv_)?vocab.*\.txt$/, /^(rwkv_)?vocab.*\.json$/]
    .flatMap((form) => names.filter((name) => form.test(name)).sort());
  return found.length > 0 ? join(folder, found[0]) : null;
}

async function configEps(path: string): Promise<number | undefined> {
  return configGroupNormEps(await readText(path), path);
}

/**
 * Reads a text file without its byte order mark, if any.
 *
 * @throws InferenceError `file_error`
 */
export async function readText(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).replace(/^\ufeff/, "");
  } catch (cause) {
    throw fileError(path, (cause as Error).message, cause);
  }
}

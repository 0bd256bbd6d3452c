/** What lies at a path: the checkpoint, its config and its vocabulary. */

import { basename, dirname, join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { defaultModel, isIndexName, isModelName, modelStem, shardOf } from "../hub/model_names.ts";
import { configGroupNormEps, type ModelOptions } from "../model/load.ts";
import type { ModelSize } from "../model/architectures/registry.ts";

/** Where a model comes from: plain data, so that a Worker can be told. */
export interface ModelSource extends ModelOptions {
  /** Path of a checkpoint or of an index of shards, or the size of one with random weights. */
  from: { file: string } | { shape: ModelSize };
}

export interface ModelFiles {
  /** What clients call the model: the folder's name, or the file's without its ending. */
  id: string;
  source: ModelSource;
  /** A vocabulary file, the word `bytes`, or null where there is none beside the model. */
  vocabulary: string | null;
}

export function fileError(path: string, message: string, cause?: unknown): InferenceError {
  return new InferenceError("file_error", `Cannot use ${path}: ${message}`, { param: path, cause });
}

export interface FindModelFilesOptions {
  /** Of the path, where it is known already. */
  info?: Deno.FileInfo;
  groupNormEps?: number | undefined;
  /** Instead of the one beside the model. */
  vocabulary?: string | undefined;
}

/** @throws InferenceError `file_error` naming the path, if there is not exactly one checkpoint. */
export async function findModelFiles(
  path: string,
  { info: known, groupNormEps, vocabulary }: FindModelFilesOptions = {},
): Promise<ModelFiles> {
  const info = known ?? await Deno.stat(path);
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
  const usual = defaultModel(names);
  if (usual !== null) return usual;
  const found = names.filter(isModelName).sort();
  if (found.length > 0) {
    throw fileError(folder, `it holds several models (${found.join(", ")}); name one of them`);
  }
  const [shard] = names.filter((name) => shardOf(name) !== null).sort();
  throw fileError(
    folder,
    shard === undefined
      ? "it holds no model (a .pth, .safetensors, .st, .bin, .pt or .ckpt file); name a folder " +
        "with one"
      : `it holds parts of a model (${shard}) and no index of them; fetch the index as well, ` +
        "model.safetensors.index.json or pytorch_model.bin.index.json",
  );
}

/** @throws InferenceError `file_error` for one shard of several, which is no model. */
function assertWhole(path: string, names: readonly string[]): void {
  const shard = shardOf(basename(path));
  if (shard === null) return;
  const index = names.filter(isIndexName).sort();
  throw fileError(
    path,
    `it is part ${shard.part} of ${shard.of} of a model; ` +
      (index.length > 0
        ? `name the index, ${index.join(" or ")}`
        : "fetch all parts and their index, and name the index"),
  );
}

/** A text before JSON, which may be another tokenizer's. */
function vocabularyBeside(folder: string, names: readonly string[]): string | null {
  const found = [/^(rwkv_)?vocab.*\.txt$/, /^(rwkv_)?vocab.*\.json$/]
    .flatMap((form) => names.filter((name) => form.test(name)).sort());
  return found.length > 0 ? join(folder, found[0]) : null;
}

async function configEps(path: string): Promise<number | undefined> {
  return configGroupNormEps(await readText(path), path);
}

/**
 * Reads a text file, without the byte order mark that some editors put before it.
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

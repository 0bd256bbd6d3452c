/** Chooses the file to pull from a repository. */

import { InferenceError } from "../core/errors.ts";
import { defaultModel, shardOf } from "../hub/model_names.ts";
import { type HubFile, isModelFile, newestModelOfSize, type PullTarget } from "../hub/names.ts";
import type { Repository } from "../hub/repository.ts";
import { nearest } from "../core/nearest.ts";
import { formatBytes } from "../core/units.ts";
import { usageError } from "../settings/flags.ts";

/** Maximum number of files in an error message. */
const MAX_NAMES = 12;

/** Runs `work` and displays its progress. */
export type WithProgress = <T>(
  label: string,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>,
) => Promise<T>;

export interface ChooseFileOptions {
  /** Receives progress messages, one line each. */
  onMessage: (line: string) => void;
  /** Shows the progress of downloads. Without it, progress is not shown. */
  withProgress?: WithProgress | undefined;
  /** Lets the user choose one of several files. Without it, several files are an error. */
  choose?: ((files: readonly HubFile[]) => HubFile) | undefined;
}

/**
 * Returns the model file, or the index of its shards.
 *
 * @throws InferenceError with the available files.
 */
export async function chooseFile(
  repository: Repository,
  { file: path, short }: PullTarget,
  { choose, onMessage }: ChooseFileOptions,
): Promise<HubFile> {
  const files = await repository.files();
  const models = files.filter((file) => isModelFile(file.path));
  if (short !== undefined) {
    const newest = newestModelOfSize(short, files);
    if (newest === null) {
      throw unknownFile(`${short}: ${repository.name} has no file of that size`, models);
    }
    onMessage(`${short} is ${newest.path}, the newest of its size in ${repository.name}`);
    return newest;
  }
  if (path !== undefined) {
    const found = models.find((file) => file.path === path);
    if (found) return found;
    const guess = nearest(path, models.map(({ path }) => path));
    throw unknownFile(
      files.some((file) => file.path === path)
        ? `${path}: ${
          shardOf(path)
            ? "it is a single shard of a model"
            : "it does not have the extension of a model file"
        }`
        : `${path}: there is no such file in ${repository.name}` +
          (guess ? `; did you mean ${guess}?` : ""),
      guess ? [] : models,
    );
  }
  if (models.length === 1) return models[0];
  // Subfolders may contain different models, so there is no default among them.
  const paths = models.map(({ path }) => path);
  const usual = paths.some((path) => path.includes("/")) ? null : defaultModel(paths);
  if (usual !== null) {
    onMessage(`Selected ${usual} of ${models.length} models in ${repository.name}`);
    return models.find(({ path }) => path === usual)!;
  }
  if (models.length > 1 && choose) return choose(models);
  throw models.length === 0
    ? unknownFile(
      `${repository.name}: it has no ` +
        (files.some(({ path }) => shardOf(path))
          ? "complete model, only shards without an index"
          : "model (.pth, .safetensors, .st, .bin, .pt or .ckpt)"),
      [],
    )
    : usageError(
      `Cannot select a model of ${repository.name}: it has ${models.length}; name ${list(models)}`,
    );
}

function unknownFile(problem: string, models: readonly HubFile[]): InferenceError {
  return new InferenceError(
    "hub_error",
    `Cannot pull ${problem}${models.length > 0 ? `; name ${list(models)}` : ""}`,
  );
}

function list(models: readonly HubFile[]): string {
  const named = models.slice(0, MAX_NAMES).map(({ path, size }) =>
    `\n  ${path}  (${formatBytes(size)})`
  );
  const more = models.length - named.length;
  return `one of${named.join("")}${more > 0 ? `\n  and ${more} more` : ""}`;
}

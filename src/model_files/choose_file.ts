/** Chooses the file to pull among those of a repository. */

import { InferenceError } from "../core/errors.ts";
import { defaultModel, shardOf } from "../hub/model_names.ts";
import { type HubFile, isModelFile, newestModelOfSize, type PullTarget } from "../hub/names.ts";
import type { Repository } from "../hub/repository.ts";
import { nearest } from "../core/nearest.ts";
import { formatBytes } from "../core/units.ts";
import { usageError } from "../settings/flags.ts";

/** Files named in a message at most. */
const NAMED = 12;

/** Shows how far `work` has come while it runs. */
export type WithProgress = <T>(
  label: string,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>,
) => Promise<T>;

export interface ChooseFileOptions {
  /** Told what happens, a line at a time. */
  onMessage: (line: string) => void;
  /** Asks which of several files it is to be; without it, several are an error that names them. */
  /** Shows the progress of downloads; nothing is shown without it. */
  withProgress?: WithProgress | undefined;
  choose?: ((files: readonly HubFile[]) => HubFile) | undefined;
}

/**
 * Returns the model's file, or the index of its shards.
 *
 * @throws InferenceError that names the files there are.
 */
export async function chooseFile(
  repository: Repository,
  { file: path, short }: PullTarget,
  { choose, onMessage: say }: ChooseFileOptions,
): Promise<HubFile> {
  const files = await repository.files();
  const models = files.filter((file) => isModelFile(file.path));
  if (short !== undefined) {
    const newest = newestModelOfSize(short, files);
    if (newest === null) {
      throw unknownFile(`${short}: ${repository.name} has no file of that size`, models);
    }
    say(`${short} is ${newest.path}, the newest of its size in ${repository.name}`);
    return newest;
  }
  if (path !== undefined) {
    const found = models.find((file) => file.path === path);
    if (found) return found;
    const guess = nearest(path, models.map(({ path }) => path));
    throw unknownFile(
      files.some((file) => file.path === path)
        ? `${path}: ${
          shardOf(path) ? "it is a part of a model" : "its ending is none of a model's"
        }`
        : `${path}: there is no such file in ${repository.name}` +
          (guess ? `; did you mean ${guess}?` : ""),
      guess ? [] : models,
    );
  }
  if (models.length === 1) return models[0];
  // Folders may be of other models, and so none of them is the usual one.
  const paths = models.map(({ path }) => path);
  const usual = paths.some((path) => path.includes("/")) ? null : defaultModel(paths);
  if (usual !== null) {
    say(`Of ${models.length} models in ${repository.name}, ${usual} is taken`);
    return models.find(({ path }) => path === usual)!;
  }
  if (models.length > 1 && choose) return choose(models);
  throw models.length === 0
    ? unknownFile(
      `${repository.name}: it has no model ` +
        (files.some(({ path }) => shardOf(path))
          ? "that is whole, only parts without an index of them"
          : "(.pth, .safetensors, .st, .bin, .pt or .ckpt)"),
      [],
    )
    : usageError(
      `Cannot tell which model of ${repository.name} is meant: name ${list(models)}`,
    );
}

function unknownFile(problem: string, models: readonly HubFile[]): InferenceError {
  return new InferenceError(
    "hub_error",
    `Cannot pull ${problem}${models.length > 0 ? `; it has ${list(models)}` : ""}`,
  );
}

function list(models: readonly HubFile[]): string {
  const named = models.slice(0, NAMED).map(({ path, size }) =>
    `\n  ${path}  (${formatBytes(size)})`
  );
  const more = models.length - named.length;
  return `one of${named.join("")}${more > 0 ? `\n  and ${more} more` : ""}`;
}

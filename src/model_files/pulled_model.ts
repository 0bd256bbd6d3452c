/** Resolves the name in `--model` to the folder of a pulled model. */

import { InferenceError } from "../core/errors.ts";
import { isModelFile, parsePullTarget, SHORT_NAMES } from "../hub/names.ts";
import { cacheRoot, ModelCache } from "./model_cache.ts";
import type { ChooseFileOptions } from "./choose_file.ts";
import { nearest } from "../core/nearest.ts";
import type { Flags } from "../settings/flags.ts";

/** Receives the messages and the progress of a download. */
export type DownloadReporter = Pick<ChooseFileOptions, "onMessage" | "withProgress">;

/**
 * Returns the folder of a pulled model. Downloads the model first if `--pull` or `RWKV_PULL` is
 * set.
 *
 * @throws InferenceError `file_error` with the command that downloads it.
 */
export async function resolvePulledModel(
  name: string,
  flags: Flags,
  { onMessage, withProgress }: DownloadReporter,
): Promise<string> {
  const root = cacheRootOrNull();
  const cache = root === null ? null : new ModelCache(root);
  const found = await cache?.find(name);
  if (found) return found.folder;
  const target = isModelFile(name) ? null : parsePullTarget(name);
  if (target && pullRequested(flags)) {
    const { pullModel } = await import("./pull_model.ts");
    return (await pullModel(target, { onMessage, withProgress })).folder;
  }
  const models = await cache?.list() ?? [];
  const candidates = [...SHORT_NAMES, ...models.map(({ name }) => name)];
  const guess = nearest(name, candidates.filter((word) => word !== name.toLowerCase()));
  throw new InferenceError(
    "file_error",
    `Cannot use ${name}: there is no such file or folder, ` +
      (models.some((model) => model.name === name)
        ? `and its download is incomplete; pull it again to resume`
        : target
        ? `and it has not been pulled; \`deno task rwkv pull ${name}\` downloads it`
        : `and no pulled model of that name${guess ? `; did you mean ${guess}?` : ""}` +
          `${guess ? "" : "; name one with --model"}`),
    { param: name },
  );
}

function cacheRootOrNull(): string | null {
  try {
    return cacheRoot();
  } catch (error) {
    if (error instanceof InferenceError) return null;
    throw error;
  }
}

/** Returns whether `--pull` is given or its variable is set to anything but a false value. */
function pullRequested({ pull }: Flags): boolean {
  return pull !== undefined && pull !== false && !/^(0|false|no|off)?$/i.test(`${pull}`);
}

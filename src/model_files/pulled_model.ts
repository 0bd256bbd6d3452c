/** From the name that `--model` gives to the folder of the pulled model that it means. */

import { InferenceError } from "../core/errors.ts";
import { isModelFile, parsePullTarget, SHORT_NAMES } from "../hub/names.ts";
import { cacheRoot, ModelCache } from "./model_cache.ts";
import type { ChooseFileOptions } from "./choose_file.ts";
import { nearest } from "../core/nearest.ts";
import type { Flags } from "../settings/flags.ts";

/** Reports how a download proceeds. */
export type DownloadReporter = Pick<ChooseFileOptions, "onMessage" | "withProgress">;

/**
 * The folder of a pulled model, which is downloaded first where `--pull` or `RWKV_PULL` asks for that.
 *
 * @throws InferenceError `file_error` that says how to get it.
 */
export async function resolvePulledModel(
  name: string,
  flags: Flags,
  { onMessage: say, withProgress }: DownloadReporter,
): Promise<string> {
  const root = rootIfAny();
  const cache = root === null ? null : new ModelCache(root);
  const found = await cache?.find(name);
  if (found) return found.folder;
  const target = isModelFile(name) ? null : parsePullTarget(name);
  if (target && pullAsked(flags)) {
    const { pullModel } = await import("./pull_model.ts");
    return (await pullModel(target, { onMessage: say, withProgress })).folder;
  }
  const there = await cache?.list() ?? [];
  const known = [...SHORT_NAMES, ...there.map(({ name }) => name)];
  const guess = nearest(name, known.filter((word) => word !== name.toLowerCase()));
  throw new InferenceError(
    "file_error",
    `Cannot use ${name}: there is no such file or folder, ` +
      (there.some((model) => model.name === name)
        ? `and its download is not whole; pulling it again goes on`
        : target
        ? `and it has not been pulled; \`rwkv pull ${name}\` downloads it`
        : `nor a pulled model of that name${guess ? `; did you mean ${guess}?` : ""}` +
          `${guess ? "" : "; --model names one"}`),
    { param: name },
  );
}

function rootIfAny(): string | null {
  try {
    return cacheRoot();
  } catch (error) {
    if (error instanceof InferenceError) return null;
    throw error;
  }
}

/** The flag, or its variable with anything but 0 or false. */
function pullAsked({ pull }: Flags): boolean {
  return pull !== undefined && pull !== false && !/^(0|false|no|off)?$/i.test(`${pull}`);
}

/** Finds the model that flags select: files, random weights, or a pulled model. */

import { fileURLToPath } from "node:url";
import { BYTE_VOCABULARY, parseVocabulary } from "../tokenizer/vocabulary.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { fileError, findModelFiles, type ModelFiles, readText } from "./model_folder.ts";
import { type DownloadReporter, resolvePulledModel } from "./pulled_model.ts";
import { type Flags, stringFlag } from "../settings/flags.ts";
import { numberSetting } from "../settings/settings.ts";
import { shapeFlag } from "../settings/model_settings.ts";

export type { ModelFiles, ModelSource } from "./model_folder.ts";

/** Path of the demo model in this repository. */
export const DEMO_MODEL = fileURLToPath(new URL("../../models/demo", import.meta.url));

/**
 * Resolves the model flags. The name of a pulled model resolves to its folder.
 *
 * @param reporter Reports the download, if `--pull` starts one.
 * @throws InferenceError `file_error` with the path, unless there is exactly one checkpoint.
 */
export async function findModel(
  flags: Flags,
  reporter: DownloadReporter = { onMessage: console.error },
): Promise<ModelFiles> {
  const groupNormEps = numberSetting(flags, "group-norm-eps");
  const shape = shapeFlag(flags);
  if (shape !== undefined) {
    return {
      id: `random-${shape}`,
      source: { from: { shape }, groupNormEps },
      vocabulary: stringFlag(flags, "vocab") ?? "bytes",
    };
  }
  const path = stringFlag(flags, "model") ?? DEMO_MODEL;
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      return await findModel({ ...flags, model: await resolvePulledModel(path, flags, reporter) });
    }
    throw fileError(path, (cause as Error).message, cause);
  }
  return await findModelFiles(path, { info, groupNormEps, vocabulary: stringFlag(flags, "vocab") });
}

/**
 * Reads a vocabulary: a file in a format that `parseVocabulary` supports, or `bytes`.
 *
 * @throws InferenceError `invalid_vocabulary` with the line or entry, or `file_error`.
 */
export async function openTokenizer(vocabulary: string): Promise<Tokenizer> {
  if (vocabulary === "bytes") return new Tokenizer(BYTE_VOCABULARY);
  return new Tokenizer(parseVocabulary(await readText(vocabulary), vocabulary));
}

/** Opens a model's tokenizer. Throws like `openTokenizer`, and if the model has no vocabulary. */
export async function openModelTokenizer(
  { id, source, vocabulary }: ModelFiles,
): Promise<Tokenizer> {
  if (vocabulary === null) {
    const { from } = source;
    throw fileError(
      "file" in from ? from.file : id,
      "there is no vocabulary (vocab.txt) beside it; name one with --vocab",
    );
  }
  return await openTokenizer(vocabulary);
}

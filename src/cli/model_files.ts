/** Finds what belongs to `--model PATH`: the checkpoint, its config and its vocabulary. */

import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceError } from "../core/errors.ts";
import { configGroupNormEps, type ModelOptions } from "../model/load.ts";
import type { Shape } from "../model/shapes.ts";
import { BYTES, parseVocabulary } from "../tokenizer/vocabulary.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type Flags, number, shapeFlag, text } from "./command.ts";
import { pulledFolder } from "./pulled_model.ts";

/** The embedded demo model. */
export const DEMO_MODEL = fileURLToPath(new URL("../../models/demo", import.meta.url));

/** Where a model comes from: plain data, so that a Worker can be told. */
export interface ModelSource extends ModelOptions {
  /** Path of a checkpoint, or the size of one with random weights. */
  from: { file: string } | { shape: Shape };
}

export interface ModelFiles {
  /** What clients call the model: the folder's name, or the file's without its ending. */
  id: string;
  source: ModelSource;
  /** A vocabulary file, the word `bytes`, or null where there is none beside the model. */
  vocabulary: string | null;
}

function fileError(path: string, message: string, cause?: unknown): InferenceError {
  return new InferenceError("file_error", `Cannot use ${path}: ${message}`, { param: path, cause });
}

/**
 * Resolves the model flags; the name of a pulled model stands for its folder.
 *
 * @param say Told how a download goes, where one was asked for.
 * @throws InferenceError `file_error` naming the path, if there is not exactly one checkpoint.
 */
export async function findModel(
  flags: Flags,
  say: (line: string) => void = console.error,
): Promise<ModelFiles> {
  const groupNormEps = number(flags, "group-norm-eps", { min: 1e-12, max: 1 });
  const shape = shapeFlag(flags);
  if (shape !== undefined) {
    return {
      id: `random-${shape}`,
      source: { from: { shape }, groupNormEps },
      vocabulary: text(flags, "vocab") ?? "bytes",
    };
  }
  const path = text(flags, "model") ?? DEMO_MODEL;
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      return await findModel({ ...flags, model: await pulledFolder(path, flags, say) });
    }
    throw fileError(path, (cause as Error).message, cause);
  }
  const folder = info.isDirectory ? path : dirname(path);
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry.name);
  const file = info.isDirectory ? join(folder, onlyCheckpoint(folder, names)) : path;
  const name = info.isDirectory ? basename(await Deno.realPath(path)) : basename(path);
  return {
    id: name.replace(/\.(pth|safetensors)$/, ""),
    source: {
      from: { file },
      groupNormEps,
      configEps: names.includes("config.json")
        ? await configEps(join(folder, "config.json"))
        : undefined,
    },
    vocabulary: text(flags, "vocab") ?? vocabularyBeside(folder, names),
  };
}

function onlyCheckpoint(folder: string, names: readonly string[]): string {
  const found = names.filter((name) => /\.(pth|safetensors)$/.test(name)).sort();
  if (found.length === 1) return found[0];
  // Among several, the one with the usual name is the model.
  const usual = found.filter((name) => /^model\./.test(name));
  if (usual.length === 1) return usual[0];
  throw fileError(
    folder,
    found.length === 0
      ? "it holds no .pth and no .safetensors file"
      : `it holds several checkpoints (${found.join(", ")}); name one of them`,
  );
}

function vocabularyBeside(folder: string, names: readonly string[]): string | null {
  const found = names.filter((name) => /^(rwkv_)?vocab.*\.txt$/.test(name)).sort();
  return found.length > 0 ? join(folder, found[0]) : null;
}

async function configEps(path: string): Promise<number | undefined> {
  return configGroupNormEps(await readText(path), path);
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw fileError(path, (cause as Error).message, cause);
  }
}

/**
 * Reads a vocabulary: a file in the World format, or `bytes`.
 *
 * @throws InferenceError `invalid_vocabulary` naming the line, or `file_error`.
 */
export async function openTokenizer(vocabulary: string): Promise<Tokenizer> {
  if (vocabulary === "bytes") return new Tokenizer(BYTES);
  return new Tokenizer(parseVocabulary(await readText(vocabulary), vocabulary));
}

/** As `openTokenizer`, for a model that must have a vocabulary. */
export async function modelTokenizer({ id, source, vocabulary }: ModelFiles): Promise<Tokenizer> {
  if (vocabulary === null) {
    const { from } = source;
    throw fileError(
      "file" in from ? from.file : id,
      "there is no vocabulary (vocab.txt) beside it; name one with --vocab",
    );
  }
  return await openTokenizer(vocabulary);
}

/**
 * Which files of a hub's repository are models, which one a short name means, and what a file is
 * called here. Names come from outside: what could be more than the name of a file is none.
 */

import { isModelName, modelStem } from "./model_names.ts";

/** A file of a repository, as its listing tells. */
export interface HubFile {
  /** From the repository's root, parted by `/`. */
  path: string;
  size: number;
  /** What its bytes must hash to; null where the hub does not tell. */
  hash: FileHash | null;
}

/** SHA-256 of the bytes, or SHA-1 of what git makes of a small file: `blob SIZE\0` and the bytes. */
export interface FileHash {
  algorithm: "sha256" | "git-sha1";
  hex: string;
}

/** Where the RWKV-5 World models are, under `RWKV-5-World-1B5-v2-20231025-ctx4096.pth` and alike. */
const WORLD = { repo: "BlinkDL/rwkv-5-world", prefix: /^RWKV-5-World-/i };

/** Short names, and how a file's name writes that size. */
const SIZES: Readonly<Record<string, readonly string[]>> = {
  "0.1b": ["0.1b", "0b1"],
  "0.4b": ["0.4b", "0b4"],
  "1.5b": ["1.5b", "1b5"],
  "3b": ["3b"],
  "7b": ["7b"],
};

/** All short names. */
export const SHORT_NAMES: readonly string[] = Object.keys(SIZES);

/**
 * Where the World vocabulary is to be had for models whose repository has none. Vocabularies under
 * these names in other formats exist too: what is fetched must be read before it is believed.
 */
export const WORLD_VOCABULARY: readonly { repo: string; path: string }[] = [
  { repo: "RWKV/rwkv-5-world-1b5", path: "rwkv_vocab_v20230424.txt" },
  { repo: "RWKV/v5-Eagle-7B-HF", path: "rwkv_vocab_v20230424.txt" },
];

/** What a person may ask for. */
export interface PullTarget {
  repo: string;
  /** A file's path, or undefined where one is to be chosen. */
  file?: string | undefined;
  /** The short name, if it was one. */
  short?: string | undefined;
}

/** `0.4b`, or `OWNER/NAME` with or without a file; null for anything else. */
export function parsePullTarget(name: string, file?: string): PullTarget | null {
  const short = name.toLowerCase();
  if (Object.hasOwn(SIZES, short)) return file === undefined ? { repo: WORLD.repo, short } : null;
  return isRepositoryName(name) ? { repo: name, file } : null;
}

/** Whether a text is `OWNER/NAME` and cannot be anything else in an address. */
export function isRepositoryName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(name) && !name.includes("..");
}

/** The newest file of a size: the latest version, then the latest date, then the last by name. */
export function newestModelOfSize<T extends HubFile>(short: string, files: readonly T[]): T | null {
  const spellings = SIZES[short] ?? [];
  const found = files.filter(({ path }) => {
    const name = path.toLowerCase();
    return isModelFile(path) && WORLD.prefix.test(path) &&
      spellings.some((size) => name.includes(`-${size}-`));
  });
  return found.sort((a, b) => compareRank(rank(b.path), rank(a.path)))[0] ?? null;
}

function rank(path: string): [number, number, string] {
  const version = Number(path.match(/-v(\d+(?:\.\d+)?)[-.]/i)?.[1] ?? 0);
  const date = Number(path.match(/(?<!\d)(20\d{6})(?!\d)/)?.[1] ?? 0);
  return [version, date, path];
}

function compareRank(a: [number, number, string], b: [number, number, string]): number {
  return a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : a[2] > b[2] ? 1 : 0);
}

/** Whether a file can be a whole model, or the index of one; a shard (`-00001-of-00002`) can not. */
export function isModelFile(path: string): boolean {
  return isSafePath(path) && isModelName(fileName(path));
}

/** Vocabularies in a repository's root: texts before JSON, the World one's own name first. */
export function vocabularyFiles<T extends HubFile>(files: readonly T[]): T[] {
  const isText = ({ path }: T) => path.endsWith(".txt");
  return files
    .filter(({ path }) => /^(rwkv_)?vocab[\w.-]*\.(txt|json)$/.test(path) && isSafePath(path))
    .sort((a, b) => Number(isText(b)) - Number(isText(a)) || (a.path < b.path ? -1 : 1));
}

/**
 * Whether a path names a file below its root and nothing else: no `..`, no empty or hidden part, no
 * character that an address, a shell, a terminal or a file system takes for more than a letter.
 */
export function isSafePath(path: string): boolean {
  return path.length <= 500 && path.split("/").every(isSafeName);
}

/** Whether a text is a plain file's name on any system. */
export function isSafeName(name: string): boolean {
  return /^[A-Za-z0-9_][\w.+ -]{0,199}$/.test(name) && !/[. ]$/.test(name) &&
    !/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name);
}

/** The last part of a path. */
export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What a model is called here: its file's name, or its repository's where the file's says nothing. */
export function modelName({ repo, path }: { repo: string; path: string }): string {
  const stem = modelStem(fileName(path));
  const name = /^(model|pytorch_model|rwkv|checkpoint)$/i.test(stem) ? fileName(repo) : stem;
  return name.replaceAll(" ", "-");
}

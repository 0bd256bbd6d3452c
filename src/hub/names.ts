/**
 * Selects a repository's model and vocabulary files, resolves short names, and derives local model
 * names. Names from the hub are untrusted: only plain file names are accepted.
 */

import { isModelName, modelStem } from "./model_names.ts";

/** A file of a repository's listing. */
export interface HubFile {
  /** Relative to the repository's root, separated by `/`. */
  path: string;
  size: number;
  /** The expected hash; null if the hub does not provide one. */
  hash: FileHash | null;
}

/** SHA-256 of the bytes, or for small files git's SHA-1 of `blob SIZE\0` and the bytes. */
export interface FileHash {
  algorithm: "sha256" | "git-sha1";
  hex: string;
}

/** The repository of the RWKV-5 World models, such as `RWKV-5-World-1B5-v2-20231025-ctx4096.pth`. */
const WORLD = { repo: "BlinkDL/rwkv-5-world", prefix: /^RWKV-5-World-/i };

/** The short names, and the spellings of each size in file names. */
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
 * Sources of the World vocabulary for models whose repository has none. Files of these names also
 * exist in other formats, so a downloaded file must be parsed before use.
 */
export const WORLD_VOCABULARY: readonly { repo: string; path: string }[] = [
  { repo: "RWKV/rwkv-5-world-1b5", path: "rwkv_vocab_v20230424.txt" },
  { repo: "RWKV/v5-Eagle-7B-HF", path: "rwkv_vocab_v20230424.txt" },
];

/** What `pull` downloads. */
export interface PullTarget {
  repo: string;
  /** A file's path; if undefined, the file is chosen from the listing. */
  file?: string | undefined;
  /** The short name, if the user gave one. */
  short?: string | undefined;
}

/** Parses `0.4b`, or `OWNER/NAME` with an optional file; returns null for anything else. */
export function parsePullTarget(name: string, file?: string): PullTarget | null {
  const short = name.toLowerCase();
  if (Object.hasOwn(SIZES, short)) return file === undefined ? { repo: WORLD.repo, short } : null;
  return isRepositoryName(name) ? { repo: name, file } : null;
}

/** Returns whether a text is `OWNER/NAME`, without characters that have a meaning in URLs. */
export function isRepositoryName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(name) && !name.includes("..");
}

/** Returns the newest file of a size: by version, then by date, then by name. */
export function newestModelOfSize<T extends HubFile>(short: string, files: readonly T[]): T | null {
  const spellings = SIZES[short] ?? [];
  const matches = files.filter(({ path }) => {
    const name = path.toLowerCase();
    return isModelFile(path) && WORLD.prefix.test(path) &&
      spellings.some((size) => name.includes(`-${size}-`));
  });
  return matches.sort((a, b) => compareRank(rank(b.path), rank(a.path)))[0] ?? null;
}

function rank(path: string): [number, number, string] {
  const version = Number(path.match(/-v(\d+(?:\.\d+)?)[-.]/i)?.[1] ?? 0);
  const date = Number(path.match(/(?<!\d)(20\d{6})(?!\d)/)?.[1] ?? 0);
  return [version, date, path];
}

function compareRank(a: [number, number, string], b: [number, number, string]): number {
  return a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : a[2] > b[2] ? 1 : 0);
}

/** Returns whether a path can be a complete model or an index; shards (`-00001-of-00002`) are not. */
export function isModelFile(path: string): boolean {
  return isSafePath(path) && isModelName(fileName(path));
}

/** Returns the vocabularies in the repository's root: text before JSON, World names first. */
export function vocabularyFiles<T extends HubFile>(files: readonly T[]): T[] {
  const isText = ({ path }: T) => path.endsWith(".txt");
  return files
    .filter(({ path }) => /^(rwkv_)?vocab[\w.-]*\.(txt|json)$/.test(path) && isSafePath(path))
    .sort((a, b) => Number(isText(b)) - Number(isText(a)) || (a.path < b.path ? -1 : 1));
}

/**
 * Returns whether a path is safe below its root: no `..`, no empty or hidden component, and no
 * character with a special meaning in a URL, a shell, a terminal or a file system.
 */
export function isSafePath(path: string): boolean {
  return path.length <= 500 && path.split("/").every(isSafeName);
}

/** Returns whether a text is a plain file name on every operating system. */
export function isSafeName(name: string): boolean {
  return /^[A-Za-z0-9_][\w.+ -]{0,199}$/.test(name) && !/[. ]$/.test(name) &&
    !/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name);
}

/** Returns the last component of a path. */
export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Returns a model's local name: its file's, or the repository's if the file's name is generic. */
export function modelName({ repo, path }: { repo: string; path: string }): string {
  const stem = modelStem(fileName(path));
  const name = /^(model|pytorch_model|rwkv|checkpoint)$/i.test(stem) ? fileName(repo) : stem;
  return name.replaceAll(" ", "-");
}

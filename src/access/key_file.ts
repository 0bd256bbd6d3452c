/**
 * A file of keys, read again while the worker runs: a key that is added or taken out counts within
 * the life of what was read. While the file can't be read, or is wrong, nothing is known here.
 */

import { fixedKeys, type KeySource } from "./key_source.ts";
import { parseKeyFile } from "./key_list.ts";

/** Milliseconds that a file is taken to be as it was read. */
const LIFE_MS = 2_000;

export interface KeyFileOptions {
  /** What it is called in messages. */
  name: string;
  /** Its text, as it is now. */
  read: () => Promise<string>;
  /** Milliseconds. */
  now: () => number;
}

/** Keys of a file. Whoever names one wants keys, even if it has none yet. */
export function keyFile({ name, read, now }: KeyFileOptions): KeySource {
  let known: { keys: Promise<KeySource>; since: number } | null = null;
  const current = (): Promise<KeySource> => {
    if (known !== null && now() - known.since < LIFE_MS) return known.keys;
    const keys = read().then((text) => fixedKeys(parseKeyFile(text, name)));
    known = { keys, since: now() };
    return keys;
  };
  return {
    find: async (hash) => await (await current()).find(hash),
    any: () => Promise.resolve(true),
  };
}

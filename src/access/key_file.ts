/**
 * A key file, which is reloaded while the worker runs: added and removed keys take effect within two
 * seconds. While the file cannot be read or is invalid, the source fails.
 */

import { fixedKeys, type KeySource } from "./key_source.ts";
import { parseKeyFile } from "./key_list.ts";

/** Milliseconds between two reads of the file. */
const RELOAD_MS = 2_000;

export interface KeyFileOptions {
  /** Name of the file in error messages. */
  name: string;
  /** Reads the text of the file. */
  read: () => Promise<string>;
  /** Milliseconds. */
  now: () => number;
}

/** Returns the source for a key file. A key file requires keys even if it is empty. */
export function keyFile({ name, read, now }: KeyFileOptions): KeySource {
  let loaded: { keys: Promise<KeySource>; since: number } | null = null;
  const current = (): Promise<KeySource> => {
    if (loaded !== null && now() - loaded.since < RELOAD_MS) return loaded.keys;
    const keys = read().then((text) => fixedKeys(parseKeyFile(text, name)));
    loaded = { keys, since: now() };
    return keys;
  };
  return {
    find: async (hash) => await (await current()).find(hash),
    any: () => Promise.resolve(true),
  };
}

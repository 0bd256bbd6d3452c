/** Downloads the vocabulary of a pulled model to `vocab.txt`. */

import { join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { type HubClient, HubStatusError } from "../hub/hub_client.ts";
import { type HubFile, vocabularyFiles, WORLD_VOCABULARY } from "../hub/names.ts";
import { FileChangedError, Repository } from "../hub/repository.ts";
import { parseVocabulary } from "../tokenizer/vocabulary.ts";
import type { ModelDetails } from "./inspect_model.ts";
import { removeIfExists } from "./model_cache.ts";
import { downloadFile } from "./partial_download.ts";

const NAME = "vocab.txt";

/** Embedding rows of every World model. */
const WORLD_SIZE = 65_536;

/** Maximum size of a vocabulary. Prevents an oversized file from filling the disk. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Downloads the first valid vocabulary: the repository's own or, for a World model, the one in a
 * known repository.
 *
 * @returns Whether there is a vocabulary. If not, a message says how to provide one.
 */
export async function downloadVocabulary(
  http: HubClient,
  own: Repository,
  { folder, facts, onMessage }: {
    folder: string;
    facts: ModelDetails | null;
    onMessage: (line: string) => void;
  },
): Promise<boolean> {
  if (await readable(join(folder, NAME))) return true;
  for (const file of vocabularyFiles(await own.files())) {
    if (await fetchFrom(http, own, { file, folder })) return true;
  }
  for (const { repo, path } of facts?.vocabularySize === WORLD_SIZE ? WORLD_VOCABULARY : []) {
    const repository = new Repository(http, repo);
    const file = await attempt(async () =>
      (await repository.files()).find((file) => file.path === path)
    );
    if (file && await fetchFrom(http, repository, { file, folder })) {
      onMessage(`Using the vocabulary ${path} of ${repo}`);
      return true;
    }
  }
  onMessage(
    `There is no valid vocabulary in ${own.name}` +
      `${facts?.vocabularySize === WORLD_SIZE ? " or in the known World repositories" : ""}: ` +
      "name one with --vocab FILE",
  );
  return false;
}

async function fetchFrom(
  http: HubClient,
  repository: Repository,
  { file, folder }: { file: HubFile; folder: string },
): Promise<boolean> {
  if (file.size > MAX_BYTES) return false;
  const path = join(folder, NAME);
  const fetched = await attempt(async () => {
    await downloadFile(http, await repository.describe(file), { folder, name: NAME });
    return true;
  });
  if (fetched && await readable(path)) return true;
  await removeIfExists(path);
  return false;
}

/** Returns `undefined` if the hub refuses a request. Interruptions and file errors are rethrown. */
async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const refused = error instanceof HubStatusError || error instanceof FileChangedError ||
      (error instanceof InferenceError && error.code === "hub_error");
    if (refused) return undefined;
    throw error;
  }
}

async function readable(path: string): Promise<boolean> {
  try {
    parseVocabulary(await Deno.readTextFile(path), path);
    return true;
  } catch (error) {
    if (error instanceof InferenceError || error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

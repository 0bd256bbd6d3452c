/**
 * Pulls a model into the cache: finds its file on the hub, downloads it with its config and its
 * vocabulary, and records it when all is there. Two processes that pull one model share the work: the
 * second waits for the first one, and finds it done.
 */

import { InferenceError } from "../core/errors.ts";
import { HubClient, HubStatusError } from "../hub/hub_client.ts";
import { isIndexName } from "../hub/model_names.ts";
import { fileName, type HubFile, isSafeName, modelName, type PullTarget } from "../hub/names.ts";
import { defaultEndpoint, FileChangedError, type RemoteFile, Repository } from "../hub/repository.ts";
import { inspectModel } from "./inspect_model.ts";
import { type CachedModel, ModelCache } from "./model_cache.ts";
import { chooseFile, type ChooseFileOptions } from "./choose_file.ts";
import { contentKey, downloadFiles } from "./download_files.ts";
import { downloadVocabulary } from "./download_vocabulary.ts";
import { formatDuration } from "../core/units.ts";
import { usageError } from "../settings/flags.ts";

export interface PullOptions extends ChooseFileOptions {
  /** What the model is called here, unless by its file's name. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Times that a file may change under a download before it is given up. */
const CHANGES = 3;

/** Pauses shorter than this, in seconds, are not worth a line. */
const PAUSE_TOLD = 2;

/**
 * @returns The model, whole and recorded.
 * @throws InferenceError that says what to do.
 */
export async function pullModel(target: PullTarget, options: PullOptions): Promise<CachedModel> {
  const cache = new ModelCache();
  const http = await openHub(options);
  for (let changes = 0;; changes++) {
    const repository = new Repository(http, target.repo);
    const file = await chooseFile(repository, target, options);
    try {
      return await pullFile(cache, { http, repository, file, target, options });
    } catch (error) {
      if (error instanceof HubStatusError) throw repository.toInferenceError(error, file.path);
      if (!(error instanceof FileChangedError)) throw error;
      if (changes === CHANGES) {
        throw new InferenceError(
          "hub_error",
          `Cannot pull ${file.path} of ${target.repo}: it is another one each time it is looked at`,
        );
      }
      options.onMessage(`${error.path} has changed on the hub: starting afresh`);
    }
  }
}

async function openHub({ onMessage: say, signal }: PullOptions): Promise<HubClient> {
  const named = Deno.env.get("HF_ENDPOINT")?.trim();
  const endpoint = (named || await defaultEndpoint()).replace(/\/+$/, "");
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw usageError(`Cannot use HF_ENDPOINT=${endpoint}: it must be an http or https address`);
  }
  const token = Deno.env.get("HF_TOKEN")?.trim() || undefined;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw usageError("Cannot use HF_TOKEN: a token has no blanks and no letters beyond ASCII");
  }
  const onPause = (reason: string, seconds: number) => {
    if (seconds >= PAUSE_TOLD) say(`${reason}; trying again in ${formatDuration(seconds)}`);
  };
  return new HubClient({ endpoint, token, signal, onRetry: onPause });
}

interface Pull {
  http: HubClient;
  repository: Repository;
  file: HubFile;
  target: PullTarget;
  options: PullOptions;
}

async function pullFile(cache: ModelCache, pull: Pull): Promise<CachedModel> {
  const { repository, file, target, options } = pull;
  const name = options.name ?? modelName({ repo: repository.name, path: file.path });
  if (!isSafeName(name)) throw usageError(`Cannot call a model "${name}": use letters and digits`);
  const remote = await repository.describe(file);
  const onWait = () => options.onMessage(`Another process is pulling ${name}: waiting for it`);
  return await cache.withLock(name, async () => {
    const there = await cache.get(name);
    const record = there?.record;
    if (record && (record.repo !== repository.name || record.path !== file.path)) {
      throw new InferenceError(
        "file_error",
        `Cannot pull ${file.path} as ${name}: that is the name of ${record.path} of ` +
          `${record.repo}; give another one with --name`,
      );
    }
    const names = new Set([...record?.names ?? [], ...target.short ? [target.short] : []]);
    if (!record || record.etag !== await contentKey(repository, remote, record.parts)) {
      try {
        await download(cache, name, { ...pull, remote, names: [...names] });
      } catch (error) {
        await cache.removeIfEmpty(name);
        throw error;
      }
    } else {
      options.onMessage(`${name} is here already: ${there!.folder}`);
      const vocabulary = record.vocabulary || await vocabularyFor(pull, there!.folder);
      if (names.size > record.names.length || vocabulary !== record.vocabulary) {
        await cache.record(name, { ...record, names: [...names], vocabulary });
      }
    }
    return (await cache.get(name))!;
  }, { onWait, signal: options.signal });
}

/** Looks again for a vocabulary that was not to be had before. */
async function vocabularyFor({ http, repository, options }: Pull, folder: string) {
  const facts = await inspectModel(folder, () => {});
  return await downloadVocabulary(http, repository, { folder, facts, say: options.onMessage });
}

async function download(
  cache: ModelCache,
  name: string,
  { http, repository, remote, names, options }: Pull & { remote: RemoteFile; names: string[] },
): Promise<void> {
  const { onMessage: say, withProgress } = options;
  const folder = await cache.createFolder(name);
  const start = performance.now();
  // Files of two versions are no model, so none is found until all of them are of one.
  if (isIndexName(remote.path)) await cache.deleteRecord(name);
  const parts = await downloadFiles(http, repository, { remote, folder, say, withProgress });
  const facts = await inspectModel(folder, say);
  const vocabulary = await downloadVocabulary(http, repository, { folder, facts, say });
  await cache.record(name, {
    repo: repository.name,
    path: remote.path,
    etag: await contentKey(repository, remote, parts),
    file: fileName(remote.path),
    parts,
    names,
    bytes: remote.size,
    pulled: new Date().toISOString(),
    version: facts?.version ?? null,
    parameters: facts?.parameters ?? null,
    quant: facts?.quant ?? null,
    vocabulary,
  });
  say(
    `Downloaded ${name} in ${formatDuration((performance.now() - start) / 1000)}` +
      (facts ? `: RWKV ${facts.version}, ${facts.parameters.toLocaleString("en")} parameters` : ""),
  );
}

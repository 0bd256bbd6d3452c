/**
 * Pulls a model into the cache: finds its file on the hub, downloads it with its config and its
 * vocabulary, and then writes its record. If two processes pull the same model, the second one
 * waits for the first and uses its result.
 */

import { InferenceError } from "../core/errors.ts";
import { HubClient, HubStatusError } from "../hub/hub_client.ts";
import { isIndexName } from "../hub/model_names.ts";
import { fileName, type HubFile, isSafeName, modelName, type PullTarget } from "../hub/names.ts";
import {
  defaultEndpoint,
  FileChangedError,
  type RemoteFile,
  Repository,
} from "../hub/repository.ts";
import { inspectModel } from "./inspect_model.ts";
import { type CachedModel, ModelCache } from "./model_cache.ts";
import { chooseFile, type ChooseFileOptions } from "./choose_file.ts";
import { contentKey, downloadFiles } from "./download_files.ts";
import { downloadVocabulary } from "./download_vocabulary.ts";
import { formatDuration } from "../core/units.ts";
import { usageError } from "../settings/flags.ts";

export interface PullOptions extends ChooseFileOptions {
  /** Name of the model in the cache. Defaults to the name of its file. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Number of times that a file may change during a download before the pull fails. */
const MAX_CHANGES = 3;

/** Minimum duration of a pause, in seconds, to report. */
const MIN_REPORTED_PAUSE = 2;

/**
 * Pulls a model.
 *
 * @returns The complete model with its record.
 * @throws InferenceError with a remedy.
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
      if (changes === MAX_CHANGES) {
        throw new InferenceError(
          "hub_error",
          `Cannot pull ${file.path} of ${target.repo}: it changes on every request; pull it later`,
        );
      }
      options.onMessage(`${error.path} has changed on the hub: starting over`);
    }
  }
}

async function openHub({ onMessage, signal }: PullOptions): Promise<HubClient> {
  const configured = Deno.env.get("HF_ENDPOINT")?.trim();
  const endpoint = (configured || await defaultEndpoint()).replace(/\/+$/, "");
  if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    throw usageError(`Cannot use HF_ENDPOINT=${endpoint}: it must be an http or https URL`);
  }
  const token = Deno.env.get("HF_TOKEN")?.trim() || undefined;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw usageError("Cannot use HF_TOKEN: it must be printable ASCII without spaces");
  }
  const onRetry = (reason: string, seconds: number) => {
    if (seconds >= MIN_REPORTED_PAUSE) {
      onMessage(`${reason}; retrying in ${formatDuration(seconds)}`);
    }
  };
  return new HubClient({ endpoint, token, signal, onRetry });
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
  if (!isSafeName(name)) throw usageError(`Cannot name a model "${name}": use letters and digits`);
  const remote = await repository.describe(file);
  const onWait = () => options.onMessage(`Another process is pulling ${name}: waiting for it`);
  return await cache.withLock(name, async () => {
    const existing = await cache.get(name);
    const record = existing?.record;
    if (record && (record.repo !== repository.name || record.path !== file.path)) {
      throw new InferenceError(
        "file_error",
        `Cannot pull ${file.path} as ${name}: that name is taken by ${record.path} of ` +
          `${record.repo}; choose another one with --name`,
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
      options.onMessage(`${name} already exists: ${existing!.folder}`);
      const vocabulary = record.vocabulary || await vocabularyFor(pull, existing!.folder);
      if (names.size > record.names.length || vocabulary !== record.vocabulary) {
        await cache.record(name, { ...record, names: [...names], vocabulary });
      }
    }
    return (await cache.get(name))!;
  }, { onWait, signal: options.signal });
}

/** Retries the download of a vocabulary that was missing before. */
async function vocabularyFor({ http, repository, options }: Pull, folder: string) {
  const facts = await inspectModel(folder, () => {});
  return await downloadVocabulary(http, repository, {
    folder,
    facts,
    onMessage: options.onMessage,
  });
}

async function download(
  cache: ModelCache,
  name: string,
  { http, repository, remote, names, options }: Pull & { remote: RemoteFile; names: string[] },
): Promise<void> {
  const { onMessage, withProgress } = options;
  const folder = await cache.createFolder(name);
  const start = performance.now();
  // Mark the model as incomplete, so that shards of two versions are never loaded together.
  if (isIndexName(remote.path)) await cache.deleteRecord(name);
  const parts = await downloadFiles(http, repository, { remote, folder, onMessage, withProgress });
  const facts = await inspectModel(folder, onMessage);
  const vocabulary = await downloadVocabulary(http, repository, { folder, facts, onMessage });
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
  onMessage(
    `Downloaded ${name} in ${formatDuration((performance.now() - start) / 1000)}` +
      (facts ? `: RWKV ${facts.version}, ${facts.parameters.toLocaleString("en")} parameters` : ""),
  );
}

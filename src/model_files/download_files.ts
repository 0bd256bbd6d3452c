/** Downloads the files of a model: a checkpoint or an index with its shards, and the config. */

import { join } from "node:path";
import { InferenceError } from "../core/errors.ts";
import { MAX_INDEX_BYTES, parseShardIndex } from "../formats/shards.ts";
import type { HubClient } from "../hub/hub_client.ts";
import { isIndexName, shardOf } from "../hub/model_names.ts";
import { fileName, type HubFile, isSafeName } from "../hub/names.ts";
import type { RemoteFile, Repository } from "../hub/repository.ts";
import type { PulledRecord } from "./model_cache.ts";
import { downloadFile, matchesRemoteFile } from "./partial_download.ts";
import type { WithProgress } from "./choose_file.ts";
import { formatBytes } from "../core/units.ts";

type Parts = PulledRecord["parts"];

/**
 * Returns a key that changes when the content of the file or of a shard changes.
 *
 * @param parts The shards that were downloaded with the file.
 */
export async function contentKey(
  repository: Repository,
  remote: RemoteFile,
  parts: Parts,
): Promise<string> {
  const files = await repository.files();
  const hashes = parts.map(({ file }) => {
    const path = siblingPath(remote, file);
    return files.find((found) => found.path === path)?.hash?.hex ?? "none";
  });
  return [remote.etag, ...hashes].join(" ");
}

/**
 * Downloads the missing files to `folder`.
 *
 * @returns The shards if `remote` is an index.
 */
export async function downloadFiles(
  http: HubClient,
  repository: Repository,
  { remote, folder, onMessage, withProgress = (_, work) => work(() => {}) }: {
    remote: RemoteFile;
    folder: string;
    onMessage: (line: string) => void;
    withProgress?: WithProgress | undefined;
  },
): Promise<Parts> {
  const fetchModel = async (file: RemoteFile) => {
    const name = fileName(file.path);
    // Skips a complete file, which an interrupted pull may have left without a record.
    if (await matchesRemoteFile(join(folder, name), file)) return;
    onMessage(`Downloading ${file.path} (${formatBytes(file.size)}) of ${repository.name}`);
    const onResume = (existingBytes: number) =>
      onMessage(`Resuming after ${formatBytes(existingBytes)}`);
    await withProgress(
      "Downloading",
      (onProgress) => downloadFile(http, file, { folder, name, onResume, onProgress }),
    );
  };
  await fetchModel(remote);
  const parts: Parts = [];
  if (isIndexName(remote.path)) {
    for (const shard of await shardsOf(repository, remote, folder)) {
      await fetchModel(await repository.describe(shard));
      parts.push({ file: fileName(shard.path), bytes: shard.size });
    }
    await removeOtherShards(folder, parts);
  }
  const configPath = siblingPath(remote, "config.json");
  const config = (await repository.files()).find((file) => file.path === configPath);
  if (config) {
    await downloadFile(http, await repository.describe(config), { folder, name: "config.json" });
  }
  return parts;
}

/** Returns the shards of a downloaded index, as the repository lists them. */
async function shardsOf(
  repository: Repository,
  index: RemoteFile,
  folder: string,
): Promise<HubFile[]> {
  const invalidIndex = (problem: string) =>
    new InferenceError("hub_error", `Cannot pull ${index.path} of ${repository.name}: ${problem}`);
  if (index.size > MAX_INDEX_BYTES) {
    throw invalidIndex(`it has ${index.size} bytes, and an index has at most ${MAX_INDEX_BYTES}`);
  }
  const text = await Deno.readTextFile(join(folder, fileName(index.path)));
  const listed = await repository.files();
  return parseShardIndex(text, index.path).files.map((file) => {
    const path = siblingPath(index, file);
    const shard = isSafeName(file) && listed.find((found) => found.path === path);
    if (!shard) {
      throw invalidIndex(
        `it names the shard ${JSON.stringify(file.slice(0, 200))}, which the repository does not ` +
          "have; name another model",
      );
    }
    return shard;
  });
}

/** Removes shards of another version, which may have had more of them. */
async function removeOtherShards(folder: string, parts: Parts): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    const other = shardOf(name) !== null && !parts.some(({ file }) => file === name);
    if (other) await Deno.remove(join(folder, name));
  }
}

/** Returns the path of `name` in the folder of a file. */
function siblingPath({ path }: HubFile, name: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) + name;
}

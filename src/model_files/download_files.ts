/** Downloads the files of a model: one, or an index and its shards, and the config beside them. */

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
 * Returns a text that differs when the bytes of the file or of its shards do.
 *
 * @param parts The shards that were downloaded with it.
 */
export async function contentKey(
  repository: Repository,
  remote: RemoteFile,
  parts: Parts,
): Promise<string> {
  const files = await repository.files();
  const hashes = parts.map(({ file }) => {
    const path = beside(remote, file);
    return files.find((found) => found.path === path)?.hash?.hex ?? "none";
  });
  return [remote.etag, ...hashes].join(" ");
}

/**
 * Downloads what is not there yet into `folder`.
 *
 * @returns The shards, if `remote` is an index.
 */
export async function downloadFiles(
  http: HubClient,
  repository: Repository,
  { remote, folder, say, withProgress = (_, work) => work(() => {}) }: {
    remote: RemoteFile;
    folder: string;
    say: (line: string) => void;
    withProgress?: WithProgress | undefined;
  },
): Promise<Parts> {
  const fetchModel = async (file: RemoteFile) => {
    const name = fileName(file.path);
    // A model whose record was not written any more is as good as one that is downloaded now.
    if (await matchesRemoteFile(join(folder, name), file)) return;
    say(`Downloading ${file.path} (${formatBytes(file.size)}) of ${repository.name}`);
    const onResume = (there: number) =>
      say(`Going on after the ${formatBytes(there)} that are here`);
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
  const configPath = beside(remote, "config.json");
  const config = (await repository.files()).find((file) => file.path === configPath);
  if (config) {
    await downloadFile(http, await repository.describe(config), { folder, name: "config.json" });
  }
  return parts;
}

/** The shards that a downloaded index names, as the repository lists them. */
async function shardsOf(
  repository: Repository,
  index: RemoteFile,
  folder: string,
): Promise<HubFile[]> {
  const refuse = (problem: string) =>
    new InferenceError("hub_error", `Cannot pull ${index.path} of ${repository.name}: ${problem}`);
  if (index.size > MAX_INDEX_BYTES) {
    throw refuse(`it has ${index.size} bytes, and an index ${MAX_INDEX_BYTES} at most`);
  }
  const text = await Deno.readTextFile(join(folder, fileName(index.path)));
  const listed = await repository.files();
  return parseShardIndex(text, index.path).files.map((file) => {
    const path = beside(index, file);
    const shard = isSafeName(file) && listed.find((found) => found.path === path);
    if (!shard) {
      throw refuse(
        `it names the shard ${JSON.stringify(file.slice(0, 200))}, which the repository does not ` +
          "have; name another model of it",
      );
    }
    return shard;
  });
}

/** Removes the shards of another version, which may have been more. */
async function removeOtherShards(folder: string, parts: Parts): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    const other = shardOf(name) !== null && !parts.some(({ file }) => file === name);
    if (other) await Deno.remove(join(folder, name));
  }
}

/** The path of a file in the folder of another one. */
function beside({ path }: HubFile, name: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) + name;
}

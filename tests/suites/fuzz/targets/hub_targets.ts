/** Replies of a hub of models: listings, descriptions, files. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { InferenceError } from "../../../../src/core/errors.ts";
import { CorruptDownloadError, download, type PartialFile } from "../../../../src/hub/download.ts";
import { HubClient, HubStatusError } from "../../../../src/hub/hub_client.ts";
import { isSafePath } from "../../../../src/hub/names.ts";
import { FileChangedError, type RemoteFile, Repository } from "../../../../src/hub/repository.ts";
import type { Target } from "../target.ts";
import { reply, responseOf } from "./http_replies.ts";

const KIB = 1024;

const HUB = "http://hub.invalid";

/** Requests that one reading may make: a hub that never ends is not to be asked for ever. */
const MOST_REQUESTS = 210;

const CONTENT = new TextEncoder().encode("the bytes of a model".repeat(20));
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

export function hubTargets(): Target[] {
  return [listingTarget(), downloadTarget()];
}

/** Runs `read` while every request is answered by `response`. */
async function answeredBy<T>(response: () => Response, read: () => Promise<T>): Promise<T> {
  const { fetch } = globalThis;
  let requests = 0;
  globalThis.fetch = () => {
    if (++requests > MOST_REQUESTS) throw new Error("it asks for ever");
    return Promise.resolve(response());
  };
  try {
    return await read();
  } finally {
    globalThis.fetch = fetch;
    assert.ok(requests <= MOST_REQUESTS, `${requests} requests were made`);
  }
}

/** A hub that is not asked again after a pause: those take seconds. */
function impatientHub(): HubClient {
  return new HubClient({
    endpoint: HUB,
    idleTimeoutMs: 500,
    onRetry: (reason) => {
      throw new InferenceError("hub_error", reason);
    },
  });
}

function refusedBy(error: unknown): "refused" {
  const known = error instanceof HubStatusError || error instanceof FileChangedError;
  if (known || error instanceof InferenceError) return "refused";
  throw error;
}

function listingTarget(): Target {
  const files = [
    {
      type: "file",
      path: "model.pth",
      size: 400,
      oid: "a".repeat(40),
      lfs: { oid: SHA256, size: 400 },
    },
    { type: "file", path: "sub/config.json", size: 20, oid: "b".repeat(40) },
    { type: "directory", path: "sub", size: 0, oid: "c".repeat(40) },
  ];
  const json = { "content-type": "application/json" };
  const tagged = { etag: `"${SHA256}"`, "content-length": "400", "content-range": "bytes 0-0/400" };
  return {
    name: "hub",
    corpus: [
      reply(200, { ...json, ...tagged, "x-linked-etag": `"${SHA256}"` }, JSON.stringify(files)),
      reply(200, json, JSON.stringify(files.slice(1))),
      reply(200, { ...json, link: `<${HUB}/api/models/a/b/tree/main?cursor=1>; rel="next"` }, "[]"),
      reply(404, { ...json, "x-error-code": "RepoNotFound" }, '{"error":"no"}'),
      reply(302, { location: "https://elsewhere.invalid/x", "retry-after": "3" }, ""),
    ],
    words: [
      ...["../x", "/etc/passwd", "a\\\\b", "CON", "a/../b", "file", "lfs", "oid", "size", "path"],
      ...[
        "404",
        "500",
        "429",
        "301",
        "307",
        "null",
        "1e999",
        "-1",
        "link: ",
        "location: file:///x\n",
      ],
      ...["x-linked-size: 400\n", "retry-after: 1e9\n", "etag: \n", "type", "[]", "{}", "\\u0000"],
    ],
    most: 64 * KIB,
    allocates: (size) => 64 * (MOST_REQUESTS + 2) * (size + KIB),
    read: async (bytes) => {
      try {
        await answeredBy(() => responseOf(bytes), async () => {
          const repository = new Repository(impatientHub(), "a/b");
          const files = await repository.files();
          for (const { path, size } of files) {
            assert.ok(isSafePath(path) && !path.split("/").includes(".."), path);
            assert.ok(Number.isSafeInteger(size) && size >= 0, `${size}`);
          }
          if (files.length > 0) await repository.describe(files[0]);
        });
        return "taken";
      } catch (error) {
        return refusedBy(error);
      }
    },
  };
}

function downloadTarget(): Target {
  const { length } = CONTENT;
  const text = new TextDecoder().decode(CONTENT);
  const file: RemoteFile = {
    repo: "a/b",
    path: "model.pth",
    size: length,
    hash: { algorithm: "sha256", hex: SHA256 },
    etag: SHA256,
    url: `${HUB}/a/b/resolve/main/model.pth`,
  };
  return {
    name: "download",
    corpus: [
      reply(200, { "content-length": `${length}`, etag: `"${SHA256}"` }, text),
      reply(206, { "content-range": `bytes 100-399/400`, etag: `"${SHA256}"` }, text.slice(100)),
      reply(416, {}, ""),
    ],
    words: [
      "content-range: bytes 0-0/400\n",
      "content-length: 1\n",
      "206",
      "200",
      "416",
      "etag: x\n",
    ],
    most: 64 * KIB,
    allocates: (size) => MOST_REQUESTS * (2 * size + 2 * KIB * KIB),
    read: async (bytes) => {
      const part = new MemoryPart(
        bytes.length % 3 === 0 ? CONTENT.slice(0, 100) : CONTENT.slice(0, 0),
      );
      const digest = (algorithm: string) => {
        const hash = createHash(algorithm);
        return {
          update: (bytes: Uint8Array) => void hash.update(bytes),
          hex: () => hash.digest("hex"),
        };
      };
      try {
        await answeredBy(
          () => responseOf(bytes),
          () => download(impatientHub(), file, part, { digest }),
        );
      } catch (error) {
        assert.ok(
          part.size <= length || error instanceof CorruptDownloadError,
          `${part.size} bytes`,
        );
        return refusedBy(error);
      }
      assert.deepEqual(part.bytes, CONTENT);
      return "taken";
    },
  };
}

class MemoryPart implements PartialFile {
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  async *read(): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    if (this.size > 0) yield this.bytes;
  }

  append(bytes: Uint8Array): Promise<void> {
    const whole = new Uint8Array(this.size + bytes.length);
    whole.set(this.bytes);
    whole.set(bytes, this.size);
    this.bytes = whole;
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.bytes = new Uint8Array();
    return Promise.resolve();
  }
}

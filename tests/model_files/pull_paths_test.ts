/** A pull writes only below its cache, regardless of hostile file names and links. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { downloadFile } from "../../src/model_files/partial_download.ts";
import { ModelCache } from "../../src/model_files/model_cache.ts";
import { HubClient } from "../../src/hub/hub_client.ts";
import { isModelFile, isSafeName, isSafePath } from "../../src/hub/names.ts";
import { Repository } from "../../src/hub/repository.ts";
import { FakeHub } from "../hub/fake_hub.ts";

const HOSTILE = [
  ...[
    "../x.pth",
    "a/../x.pth",
    "/etc/x.pth",
    "//x.pth",
    "a//x.pth",
    "a\\x.pth",
    "..\\x.pth",
    "C:x.pth",
  ],
  ...[
    "x\0.pth",
    "x\n.pth",
    ".x.pth",
    "a/.ssh/x.pth",
    "~/x.pth",
    "con.pth",
    "a/NUL.pth",
    "lpt1.pth",
  ],
  ...["x.pth ", "x.pth.", "%2e%2e/x.pth", "é.pth", "x\u202e.pth", "$(x).pth", "`x`.pth", "-x.pth"],
  ...["x".repeat(300) + ".pth", "a/".repeat(300) + "x.pth", "", ".", ".."],
];

Deno.test("an unsafe name is neither a hub file nor a model name", async () => {
  for (const path of HOSTILE) {
    assert.ok(!isSafePath(path) && !isModelFile(path), JSON.stringify(path));
    assert.ok(!isSafeName(path), JSON.stringify(path));
  }
  const hub = new FakeHub({
    "a/b": Object.fromEntries(HOSTILE.map((path) => [path, new Uint8Array(3)])),
  });
  try {
    const repository = new Repository(new HubClient({ endpoint: hub.endpoint }), "a/b");
    assert.deepEqual(await repository.files(), []);
  } finally {
    await hub.close();
  }
});

/** Runs `run` with a folder for a cache and one outside of it. */
async function withFolders(run: (cache: string, outside: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  const [cache, outside] = [`${folder}/cache`, `${folder}/outside`];
  try {
    await Deno.mkdir(cache);
    await Deno.mkdir(outside);
    await run(cache, outside);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const unix = { ignore: Deno.build.os === "windows" };

Deno.test(
  "a symbolic link at the path of a download is removed and not followed",
  unix,
  async () => {
    await withFolders(async (folder, outside) => {
      const hub = new FakeHub({ "a/b": { "x.pth": new Uint8Array(5000).fill(7) } });
      try {
        const http = new HubClient({ endpoint: hub.endpoint });
        const repository = new Repository(http, "a/b");
        const [file] = await repository.files();
        const remote = await repository.describe(file);
        const tag = createHash("sha256").update(remote.etag).digest("hex").slice(0, 12);
        await Deno.writeTextFile(`${outside}/precious`, "mine");
        await Deno.symlink(`${outside}/precious`, `${folder}/x.pth.${tag}.part`);
        await Deno.symlink(`${outside}/made`, `${folder}/x.pth`);
        await downloadFile(http, remote, { folder, name: "x.pth" });
        assert.equal((await Deno.lstat(`${folder}/x.pth`)).size, 5000);
        assert.equal(await Deno.readTextFile(`${outside}/precious`), "mine");
        assert.deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["precious"]);
      } finally {
        await hub.close();
      }
    });
  },
);

Deno.test(
  "a linked model folder is rejected, and links at a lock or a record are removed",
  unix,
  async () => {
    await withFolders(async (root, outside) => {
      const cache = new ModelCache(root);
      await Deno.mkdir(`${root}/models`);
      await Deno.mkdir(`${root}/locks`);
      await Deno.symlink(outside, `${root}/models/linked`);
      await assert.rejects(cache.createFolder("linked"), {
        code: "file_error",
        message: /it is a symbolic link/,
      });
      await Deno.symlink(`${outside}/lock`, `${root}/locks/fine.lock`);
      const folder = await cache.withLock("fine", () => cache.createFolder("fine"), {
        onWait: () => {},
      });
      await Deno.symlink(`${outside}/record`, `${folder}/pulled.json.part`);
      await cache.record("fine", {
        repo: "a/b",
        path: "x.pth",
        etag: "e",
        file: "x.pth",
        parts: [],
        names: [],
        bytes: 1,
        pulled: new Date(0).toISOString(),
        version: null,
        parameters: null,
        quant: null,
        vocabulary: false,
      });
      assert.deepEqual([...Deno.readDirSync(outside)], []);
      for (const name of HOSTILE) {
        await assert.rejects(cache.createFolder(name), /not a safe model name/, name);
      }
    });
  },
);

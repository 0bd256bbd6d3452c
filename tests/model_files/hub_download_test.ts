/** Downloads from a hub, including failures on the way. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { downloadFile } from "../../src/model_files/partial_download.ts";
import { CorruptDownloadError } from "../../src/hub/download.ts";
import { HubClient, type HubClientOptions } from "../../src/hub/hub_client.ts";
import { FileChangedError, type RemoteFile, Repository } from "../../src/hub/repository.ts";
import { type Content, type FakeFile, FakeHub, syntheticContent } from "../hub/fake_hub.ts";
import { slowTest } from "../support/quick.ts";

const REPO = "a/b";
const FILE = "x.pth";
const MB = 1_000_000;
/** Bytes per write to disk. */
const WRITE_BYTES = 1 << 20;

interface Fixture {
  hub: FakeHub;
  folder: string;
  /** Fetches the description of the file and downloads it. */
  pull: (options?: Partial<HubClientOptions>) => Promise<RemoteFile>;
  /** Starts a download and aborts it after `bytes` bytes, at which the hub stalls. */
  abortAfter: (bytes: number) => Promise<void>;
  names: () => string[];
}

async function withHub(file: FakeFile, run: (setting: Fixture) => Promise<void>): Promise<void> {
  const hub = new FakeHub({ [REPO]: { [FILE]: file } });
  const folder = await Deno.makeTempDir();
  const pull = async (
    options: Partial<HubClientOptions> = {},
    onProgress: (done: number) => void = () => {},
  ) => {
    const http = new HubClient({ endpoint: hub.endpoint, ...options });
    const repository = new Repository(http, REPO);
    const found = (await repository.files()).find(({ path }) => path === FILE)!;
    const remote = await repository.describe(found);
    await downloadFile(http, remote, { folder, name: FILE, onProgress });
    return remote;
  };
  const abortAfter = async (bytes: number) => {
    const controller = new AbortController();
    hub.faults.set(FILE, [{ stallAfter: bytes }]);
    // A partial write buffer is flushed after the abort.
    const pulling = pull({ signal: controller.signal }, (done) => {
      if (done > bytes - WRITE_BYTES) controller.abort();
    });
    await assert.rejects(pulling, { code: "cancelled" });
  };
  const names = () => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  try {
    await run({ hub, folder, pull, abortAfter, names });
  } finally {
    await hub.close();
    await Deno.remove(folder, { recursive: true });
  }
}

function sha256(content: Content): string {
  const hash = createHash("sha256");
  for (let at = 0; at < content.size; at += MB) {
    hash.update(content.slice(at, Math.min(content.size, at + MB)));
  }
  return hash.digest("hex");
}

async function assertHolds(path: string, content: Content): Promise<void> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const bytes of file.readable) hash.update(bytes);
  assert.equal(hash.digest("hex"), sha256(content));
}

slowTest(
  "a download of 200 MB completes after five lost connections without repeating data",
  async () => {
    const content = syntheticContent(200 * MB);
    await withHub({ content }, async ({ hub, folder, pull, names }) => {
      const cuts = [30 * MB, 1, 64 * 1024, 70 * MB + 5, 12_345_678];
      hub.faults.set(FILE, cuts.map((disconnectAfter) => ({ disconnectAfter })));
      await pull();
      await assertHolds(`${folder}/${FILE}`, content);
      assert.deepEqual(names(), [FILE]);
      const offsets = hub.fetches(FILE).map(({ range }) => Number(range?.match(/\d+/)?.[0] ?? 0));
      assert.equal(offsets.length, 1 + cuts.length);
      const twice = hub.bytesServed.get(FILE)! - content.size;
      assert.ok(twice <= 64 * 1024, `${twice} bytes were fetched twice: ${offsets}`);
    });
  },
);

Deno.test("a download with the wrong hash leaves no file", async () => {
  for (const size of [3 * MB, 10]) {
    const wrong = { content: syntheticContent(size), hash: "0".repeat(64) };
    await withHub(wrong, async ({ hub, pull, names }) => {
      await assert.rejects(pull(), (error) => {
        assert.ok(error instanceof CorruptDownloadError);
        assert.match(
          error.message,
          /^Cannot use x\.pth: its SHA-256 is [0-9a-f]{64}, expected /,
        );
        return true;
      });
      assert.deepEqual(names(), []);
      // The same after a resumed download.
      hub.faults.set(FILE, [{ disconnectAfter: size / 2 }]);
      await assert.rejects(pull(), CorruptDownloadError);
      assert.deepEqual(names(), []);
    });
  }
});

Deno.test("small files are checked against their git hash", async () => {
  const content = syntheticContent(5000);
  await withHub({ content, large: false }, async ({ folder, pull }) => {
    assert.equal((await pull()).hash.algorithm, "git-sha1");
    await assertHolds(`${folder}/${FILE}`, content);
  });
  const wrong = { content, large: false, hash: "0".repeat(40) };
  await withHub(wrong, async ({ pull, names }) => {
    await assert.rejects(pull(), /its git hash is/);
    assert.deepEqual(names(), []);
  });
});

Deno.test("the token is sent to the hub only", async () => {
  await withHub({ content: syntheticContent(3 * MB) }, async ({ hub, pull }) => {
    hub.faults.set(FILE, [{ disconnectAfter: MB }, { status: 403 }]);
    await pull({ token: hub.token });
    const authorizations = (origin: string) =>
      new Set(hub.requests.filter((seen) => seen.origin === origin).map((s) => s.authorization));
    assert.deepEqual(authorizations("hub"), new Set([`Bearer ${hub.token}`]));
    assert.deepEqual(authorizations("cdn"), new Set([null]));
  });
});

Deno.test("a next-page link to the hub is resolved on the mirror", async () => {
  const requests: string[] = [];
  const mirror = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname, search } = new URL(request.url);
    requests.push(pathname + search);
    assert.equal(request.headers.get("authorization"), "Bearer hf_secret");
    // This host does not exist, so following the link literally would fail.
    const link = `<https://hub.invalid/api/models/${REPO}/tree/main?cursor=2>; rel="next"`;
    const more: HeadersInit = search.includes("cursor") ? {} : { link };
    return Response.json([{ type: "file", path: `${requests.length}.pth`, size: 1 }], {
      headers: more,
    });
  });
  const endpoint = `http://127.0.0.1:${mirror.addr.port}/hf`;
  const files = await new Repository(new HubClient({ endpoint, token: "hf_secret" }), REPO).files();
  assert.deepEqual(files.map(({ path }) => path), ["1.pth", "2.pth"]);
  const tree = `/hf/api/models/${REPO}/tree/main`;
  assert.deepEqual(requests, [`${tree}?recursive=true&expand=false`, `${tree}?cursor=2`]);
  await mirror.shutdown();
});

Deno.test("a busy or failing hub is retried after its retry-after", async () => {
  await withHub({ content: syntheticContent(MB) }, async ({ hub, folder, pull }) => {
    const listing = `/api/models/${REPO}/tree/main`;
    hub.hubFaults.set(listing, [{ status: 503 }, { status: 429, headers: { "retry-after": "1" } }]);
    hub.hubFaults.set(`/${REPO}/resolve/main/${FILE}`, [{ status: 500 }]);
    hub.faults.set(FILE, [{ status: 502 }, { status: 429, headers: { "retry-after": "0" } }]);
    const pauses: [string, number][] = [];
    const start = performance.now();
    await pull({ onRetry: (reason, seconds) => pauses.push([reason, seconds]) });
    assert.ok(performance.now() - start > 1000);
    assert.deepEqual(pauses.map(([reason]) => reason.match(/status (\d+)$/)?.[1]), [
      "503",
      "429",
      "500",
      "502",
      "429",
    ]);
    assert.deepEqual([pauses[1][1], pauses[4][1]], [1, 0]);
    await assertHolds(`${folder}/${FILE}`, syntheticContent(MB));
  });
});

Deno.test("a stalled connection times out and resumes", async () => {
  const content = syntheticContent(4 * MB);
  await withHub({ content }, async ({ hub, folder, pull }) => {
    hub.faults.set(FILE, [{ stallAfter: 3 * MB }]);
    await pull({ idleTimeoutMs: 300 });
    await assertHolds(`${folder}/${FILE}`, content);
    assert.deepEqual(hub.fetches(FILE).map(({ range }) => range), [null, `bytes=${3 * MB}-`]);
  });
});

Deno.test("an aborted download resumes unless the file has changed", async () => {
  const content = syntheticContent(6 * MB);
  await withHub({ content }, async ({ hub, folder, pull, abortAfter, names }) => {
    await abortAfter(4 * MB);
    const [part] = names();
    assert.match(part, /^x\.pth\.[0-9a-f]{12}\.part$/);
    const { size } = await Deno.stat(`${folder}/${part}`);
    assert.ok(size > 4 * MB - WRITE_BYTES, `${size}`);
    await pull();
    assert.equal(hub.fetches(FILE).at(-1)!.range, `bytes=${size}-`);
    await assertHolds(`${folder}/${FILE}`, content);

    await Deno.remove(`${folder}/${FILE}`);
    await abortAfter(4 * MB);
    const other = syntheticContent(6 * MB, 2);
    hub.add(REPO, { [FILE]: { content: other } });
    await pull();
    assert.equal(hub.fetches(FILE).at(-1)!.range, null);
    await assertHolds(`${folder}/${FILE}`, other);
    assert.deepEqual(names(), [FILE]);
  });
});

Deno.test("a change of the file between two requests is detected", async () => {
  await withHub({ content: syntheticContent(3 * MB) }, async ({ hub, pull, names }) => {
    hub.faults.set(FILE, [{ stallAfter: 2 * MB }]);
    const pulling = pull({ idleTimeoutMs: 500 });
    await hub.waitForBytes(FILE, 2 * MB);
    hub.add(REPO, { [FILE]: { content: syntheticContent(3 * MB, 2) } });
    await assert.rejects(pulling, FileChangedError);
    assert.ok(names().every((name) => name.endsWith(".part")), `${names()}`);
  });
});

Deno.test("a server without range support restarts the download", async () => {
  const content = syntheticContent(3 * MB);
  await withHub({ content, noRanges: true }, async ({ hub, folder, pull }) => {
    hub.faults.set(FILE, [{ disconnectAfter: 2 * MB }]);
    await pull();
    await assertHolds(`${folder}/${FILE}`, content);
    assert.ok(hub.bytesServed.get(FILE)! <= 5 * MB);
  });
});

Deno.test("a full disk is reported", {
  // The test needs /dev/full.
  ignore: Deno.build.os !== "linux",
}, async () => {
  await withHub({ content: syntheticContent(3 * MB) }, async ({ pull, abortAfter, names }) => {
    await abortAfter(2 * MB);
    const before = names();
    using full = await Deno.open("/dev/full", { write: true });
    const { write } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.write = (bytes) => write.call(full, bytes);
    try {
      await assert.rejects(pull(), {
        code: "file_error",
        message: /^Cannot write .*the disk is full/,
      });
    } finally {
      Deno.FsFile.prototype.write = write;
    }
    assert.deepEqual(names(), before);
  });
});

Deno.test("an unreachable hub is reported", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const http = new HubClient({ endpoint: `http://127.0.0.1:${port}` });
  await assert.rejects(new Repository(http, REPO).files(), {
    code: "hub_error",
    message: /^Cannot reach http:\/\/127\.0\.0\.1:\d+: .*refused/,
  });
});

/** `pull` with concurrent processes, killed processes, and invalid downloads. */

import assert from "node:assert/strict";
import { DEMO_MODEL } from "../../src/model_files/find_model.ts";
import { syntheticContent } from "../hub/fake_hub.ts";
import { DEMO, filesBelow, RunningCommand, withHub } from "./pull_fixtures.ts";

const MB = 1_000_000;
/** Bytes per write to disk. */
const WRITE_BYTES = 1 << 20;

Deno.test("two concurrent processes download a model once", async () => {
  await withHub(async ({ hub, env }) => {
    const path = "model.safetensors";
    const { size } = await Deno.stat(`${DEMO_MODEL}/${path}`);
    const release = hub.pauseNext(path, 2 * MB);
    const first = new RunningCommand(["pull", DEMO], env);
    await hub.waitForBytes(path, 2 * MB);
    const second = new RunningCommand(["pull", DEMO], env);
    await second.waitForOutput(/Another process is pulling demo: waiting/);
    release();
    const [one, two] = await Promise.all([first.end(), second.end()]);
    assert.deepEqual([one.code, two.code], [0, 0], one.stderr + two.stderr);
    assert.match(two.stderr, /demo already exists/);
    assert.equal(hub.bytesServed.get(path), size);
    assert.equal(hub.fetches(path).length, 1);
  });
});

Deno.test("after SIGKILL, a waiting process resumes the download", async () => {
  await withHub(async ({ hub, home, env, run }) => {
    const content = syntheticContent(20 * MB);
    hub.add("a/big", { "big.pth": { content } });
    hub.pauseNext("big.pth", 12 * MB);
    const folder = `${home}/models/big`;
    const first = new RunningCommand(["pull", "a/big"], env);
    await hub.waitForBytes("big.pth", 12 * MB);
    const second = new RunningCommand(["pull", "a/big"], env);
    await second.waitForOutput(/Another process is pulling big: waiting/);
    const partialSize = await partOf(folder, 12 * MB - WRITE_BYTES);
    assert.match(JSON.parse((await run("models", "--json")).stdout)[0].name, /^big$/);
    const refused = await run("rm", "big");
    assert.match(refused.stderr, /Cannot remove big: it is being pulled/);
    assert.match((await run("info", "--model", "big")).stderr, /download is incomplete/);
    await first.end("SIGKILL");
    const { code, stderr } = await second.end();
    assert.equal(code, 0, stderr);
    const [, resumed] = hub.fetches("big.pth");
    assert.equal(resumed.range, `bytes=${partialSize}-`);
    assert.ok(hub.bytesServed.get("big.pth")! - content.size <= WRITE_BYTES);
    const files = [...await filesBelow(folder)].map((
      [path, size],
    ) => [path.slice(folder.length), size]);
    assert.deepEqual(files.find(([path]) => path === "/big.pth"), ["/big.pth", content.size]);
    assert.equal(files.length, 2, `${files}`);
  });
});

/** Waits until the partial download in a folder exceeds `minBytes` and returns its size. */
async function partOf(folder: string, minBytes: number): Promise<number> {
  const watcher = Deno.watchFs(folder);
  try {
    while (true) {
      for (const [path, size] of await filesBelow(folder)) {
        if (path.endsWith(".part") && size > minBytes) return size;
      }
      await watcher[Symbol.asyncIterator]().next();
    }
  } finally {
    watcher.close();
  }
}

Deno.test("a file that changes during its download is downloaded again", async () => {
  await withHub(async ({ hub, home, env }) => {
    const [old, other] = [syntheticContent(5 * MB), syntheticContent(5 * MB, 2)];
    hub.add("a/big", { "big.pth": { content: old } });
    const cut = hub.pauseNext("big.pth", 3 * MB, { disconnect: true });
    const pulling = new RunningCommand(["pull", "a/big"], env);
    await hub.waitForBytes("big.pth", 3 * MB);
    hub.add("a/big", { "big.pth": { content: other } });
    cut();
    const { code, stderr } = await pulling.end();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^big\.pth has changed on the hub: starting over$/m);
    const folder = `${home}/models/big`;
    assert.deepEqual(await Deno.readFile(`${folder}/big.pth`), other.slice(0, other.size));
    assert.equal((await filesBelow(folder)).size, 2);
  });
});

Deno.test("rm removes an incomplete download by name", async () => {
  await withHub(async ({ hub, home, env, run }) => {
    hub.add("a/big", { "big.pth": { content: syntheticContent(5 * MB) } });
    hub.pauseNext("big.pth", 4 * MB);
    const stopped = new RunningCommand(["pull", "a/big"], env);
    await partOf(await createFolder(`${home}/models/big`), 4 * MB - WRITE_BYTES);
    const { code, stderr } = await stopped.end("SIGINT");
    assert.equal(code, 1);
    assert.match(stderr, /^error: Stopped; run the same command to resume the download/m);
    assert.match((await run("models")).stdout, /^big .* incomplete \(/m);
    assert.equal((await run("rm", "big")).code, 0);
    assert.deepEqual([...await filesBelow(`${home}/models`)], []);
  });
});

/** Creates a folder so that it can be watched. */
async function createFolder(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  return folder;
}

Deno.test("a file with a wrong hash is not listed as complete", async () => {
  await withHub(async ({ hub, home, run }) => {
    hub.add("a/bad", { "bad.pth": { content: syntheticContent(MB), hash: "1".repeat(64) } });
    const { code, stderr } = await run("pull", "a/bad");
    assert.equal(code, 1);
    assert.match(stderr, /Cannot use bad\.pth: its SHA-256 is/);
    assert.deepEqual([...await filesBelow(`${home}/models`)], []);
    assert.equal((await run("models", "--json")).stdout, "[]\n");
    assert.match((await run("info", "--model", "bad")).stderr, /no pulled model of that name/);
  });
});

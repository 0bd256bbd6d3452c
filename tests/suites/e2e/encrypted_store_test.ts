/** Workers with a master key: what they write to the file, and who can read it. */

import assert from "node:assert/strict";
import { rwkv } from "../cli/shared_cli.ts";
import { sendMessage, startWorkerProcess } from "./worker_process.ts";

const OLD = btoa("o".repeat(32));
const NEW = btoa("n".repeat(32));

Deno.test("an encrypted store contains no plaintext and can be read after a key rotation", async () => {
  const folder = await Deno.makeTempDir();
  const kv = `${folder}/states.sqlite3`;
  const start = (key: string) =>
    startWorkerProcess(kv, { device: "cpu", env: { RWKV_MASTER_KEY: key } });
  try {
    const first = await start(OLD);
    const { stateId } = await sendMessage(first.url, "Hi, my name is Ada.");
    await first.stop();
    const files = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
    for (const file of files) {
      const text = new TextDecoder("latin1").decode(await Deno.readFile(file));
      assert.ok(!text.includes("Ada"), file);
    }

    const second = await start(`${NEW},${OLD}`);
    assert.match((await sendMessage(second.url, "What is my name?", { stateId })).text, /Ada/);
    await second.stop();

    const third = await start(NEW);
    const refused = await fetch(`${third.url}/v1/states/${stateId}`);
    assert.equal(refused.status, 422);
    assert.match((await refused.json()).error.message, /add that key to RWKV_MASTER_KEY/);
    await third.stop();

    const shown = (key: string) =>
      rwkv(["state", "show", stateId!, "--kv", kv], "", { env: { RWKV_MASTER_KEY: key } });
    assert.match((await shown(`${NEW},${OLD}`)).stdout, /my name is Ada/);
    const withoutKey = await shown("");
    assert.equal(withoutKey.code, 1);
    assert.match(withoutKey.stderr, /it is encrypted: set RWKV_MASTER_KEY to its master key/);
    await assert.rejects(start(""), /it is encrypted: set RWKV_MASTER_KEY to its master key/);
    const wrong = await shown("c2VjcmV0");
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^error: Cannot use master key 1: it has 6 bytes/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("state encrypt encrypts a plaintext store, and its conversations can be resumed", async () => {
  const folder = await Deno.makeTempDir();
  const kv = `${folder}/states.sqlite3`;
  const start = (key: string) =>
    startWorkerProcess(kv, { device: "cpu", env: { RWKV_MASTER_KEY: key } });
  const encrypt = (key: string) =>
    rwkv(["state", "encrypt", "--kv", kv], "", { env: { RWKV_MASTER_KEY: key } });
  try {
    const first = await start("");
    const { stateId } = await sendMessage(first.url, "Hi, my name is Ada.");
    await first.stop();
    await assert.rejects(start(NEW), /plaintext values: .*`deno task rwkv state encrypt`/);
    const keyless = await encrypt("");
    assert.equal(keyless.code, 2);
    assert.match(keyless.stderr, /set RWKV_MASTER_KEY to a master key/);
    const done = await encrypt(NEW);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /^Encrypted 1 states and \d+ other values; removed \d+ entries/);
    await assert.rejects(start(""), /set RWKV_MASTER_KEY/);
    const second = await start(NEW);
    assert.match((await sendMessage(second.url, "What is my name?", { stateId })).text, /Ada/);
    await second.stop();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

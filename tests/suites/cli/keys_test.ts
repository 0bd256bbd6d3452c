/** `keys` and `state --tenant`. */

import assert from "node:assert/strict";
import { openSessions } from "../../../src/server/open_sessions.ts";
import { hashKey, isKeyText, keyId } from "../../../src/store/keys/api_key_text.ts";
import { rwkv } from "./shared_cli.ts";

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function json(args: string[]) {
  const { code, stdout, stderr } = await rwkv([...args, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("keys in a store are created, listed and revoked, and printed only once", async () => {
  await withFolder(async (folder) => {
    const at = ["--kv", `${folder}/states.sqlite3`];
    const created = await rwkv(["keys", "create", "--tenant", "acme", ...at]);
    assert.equal(created.code, 0, created.stderr);
    const text = created.stdout.trimEnd();
    assert.equal(created.stdout, `${text}\n`);
    assert.ok(isKeyText(text));
    const id = keyId(await hashKey(text));
    assert.ok(created.stderr.includes(id) && created.stderr.includes("acme"), created.stderr);
    const other = await json(["keys", "create", ...at]);
    assert.deepEqual([other.tenant, other.id], ["default", keyId(await hashKey(other.key))]);
    const { keys } = await json(["keys", "ls", ...at]);
    assert.deepEqual(keys.map(({ id }: { id: string }) => id), [id, other.id]);
    const table = (await rwkv(["keys", "ls", ...at])).stdout.split("\n");
    assert.match(table[0], /^ID +TENANT +CREATED +LIMITS$/);
    assert.match(table[1], new RegExp(`^${id}  acme +20\\d\\d-.*Z *$`));
    const { revoked } = await json(["keys", "revoke", id, ...at]);
    assert.deepEqual([revoked.id, revoked.tenant], [id, "acme"]);
    assert.equal((await json(["keys", "ls", ...at])).keys.length, 1);
    const again = await rwkv(["keys", "revoke", id, ...at]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /Cannot revoke key "key_[0-9a-f]{16}": no key has this id/);
  });
});

Deno.test("keys in a file are added and removed without changing other lines", async () => {
  await withFolder(async (folder) => {
    const file = `${folder}/keys.txt`;
    const at = ["--file", file];
    const first = await json(["keys", "create", "--tenant", "acme", ...at]);
    await Deno.writeTextFile(file, "# by hand", { append: true });
    const second = await json(["keys", "create", "--tenant", "other", ...at]);
    const lines = (await Deno.readTextFile(file)).split("\n");
    assert.equal(lines.length, 4);
    assert.ok(lines[0].startsWith(`acme sha256:${await hashKey(first.key)}  # ${first.id}, 20`));
    assert.equal(lines[1], "# by hand");
    assert.ok(lines[2].startsWith(`other sha256:${await hashKey(second.key)}  # ${second.id}, 20`));
    assert.ok(!lines.join().includes(first.key));
    const { keys } = await json(["keys", "ls", ...at]);
    assert.deepEqual(keys.map(({ id }: { id: string }) => id), [first.id, second.id]);
    await json(["keys", "revoke", first.id, ...at]);
    assert.equal(await Deno.readTextFile(file), [...lines.slice(1)].join("\n"));
    assert.equal((await rwkv(["keys", "revoke", first.id, ...at])).code, 1);
    assert.equal(await Deno.readTextFile(file), [...lines.slice(1)].join("\n"));
    // An invalid file is an error and stays unchanged.
    await Deno.writeTextFile(file, "acme secret\n");
    const wrong = await rwkv(["keys", "create", ...at]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /line 1/);
    assert.ok(!wrong.stderr.includes("secret"));
    assert.equal(await Deno.readTextFile(file), "acme secret\n");
  });
});

Deno.test("limits of a key are stored and listed, and those of the environment are not", async () => {
  await withFolder(async (folder) => {
    const flags = ["--requests-per-minute", "60", "--bytes-per-tenant", "1e9"];
    const limits = { requestsPerMinute: 60, bytes: 1e9 };
    for (const at of [["--kv", `${folder}/states.sqlite3`], ["--file", `${folder}/keys.txt`]]) {
      const env = { RWKV_TOKENS_PER_MINUTE: "5" };
      const { code, stderr } = await rwkv(["keys", "create", ...flags, ...at], "", { env });
      assert.equal(code, 0, stderr);
      assert.deepEqual((await json(["keys", "create", ...at])).limits, {});
      const { keys } = await json(["keys", "ls", ...at]);
      assert.deepEqual(keys.map((key: { limits: object }) => key.limits), [limits, {}]);
      const table = (await rwkv(["keys", "ls", ...at])).stdout.split("\n");
      assert.match(table[1], / {2}requests-per-minute=60 bytes-per-tenant=1000000000$/);
      const wrong = await rwkv(["keys", "create", "--states-per-tenant", "0", ...at]);
      assert.equal(wrong.code, 2);
      assert.match(
        wrong.stderr,
        /Cannot use --states-per-tenant 0: it must be a whole number from 1/,
      );
      const [id] = keys.map((key: { id: string }) => key.id);
      await json(["keys", "revoke", id, ...at]);
      assert.equal((await json(["keys", "ls", ...at])).keys.length, 1);
    }
  });
});

Deno.test("keys reports wrong usage", async () => {
  await withFolder(async (folder) => {
    const output = async (...args: string[]) => {
      const { code, stderr } = await rwkv(["keys", ...args, "--kv", `${folder}/none.sqlite3`]);
      return `${code} ${stderr}`;
    };
    assert.match(await output(), /^2 .*no action is given.*create \| ls \| revoke ID/);
    assert.match(await output("make"), /^2 .*no action "make"/);
    assert.match(await output("revoke"), /^2 .*the usage is keys revoke ID/);
    assert.match(await output("create", "--tenant", "No Name"), /^2 .*Cannot use --tenant No Name/);
    assert.match(await output("ls"), /^1 .*there is no such file/);
  });
});

Deno.test("--tenant selects the states to list, show and import, and gc covers all tenants", async () => {
  await withFolder(async (folder) => {
    const kv = `${folder}/states.sqlite3`;
    const running = await openSessions({ device: "cpu", kv });
    const turn = await running.tenants.forTenant("acme").start({
      messages: [{ role: "user", content: "Hi!" }],
      maxTokens: 3,
    });
    const { stateId } = await turn.result();
    await running.close(0);
    const state = (...args: string[]) => json(["state", ...args, "--kv", kv]);
    assert.equal((await state("ls")).total, 0);
    assert.equal((await state("ls", "--tenant", "acme")).states[0].id, stateId);
    assert.equal((await rwkv(["state", "show", stateId!, "--kv", kv])).code, 1);
    assert.equal((await state("show", stateId!, "--tenant", "acme")).id, stateId);
    const file = `${folder}/talk`;
    await state("export", stateId!, file, "--tenant", "acme");
    const { id } = await state("import", file, "--tenant", "other");
    assert.equal((await state("ls", "--tenant", "other")).states[0].id, id);
    // Garbage collection covers every tenant and keeps blobs that are in use.
    const blob = Date.UTC(2026, 10, 2).toString(16).padStart(12, "0").padEnd(48, "0");
    const store = await Deno.openKv(kv);
    for (const tenant of ["acme", "other"]) {
      await store.set([tenant, "blob", blob, 0], new Uint8Array(9));
    }
    store.close();
    const gc = (...args: string[]) => state("gc", "--older-than", "0", ...args);
    assert.equal((await gc("--dry-run", "--tenant", "acme")).blobs, 1);
    assert.equal((await gc()).blobs, 2);
    assert.equal((await state("show", stateId!, "--tenant", "acme")).id, stateId);
    assert.equal((await rwkv(["state", "ls", "--tenant", "~", "--kv", kv])).code, 2);
  });
});

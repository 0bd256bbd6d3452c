/** A store that is encrypted at rest: what can be read of it, by whom, and what cannot. */

import assert from "node:assert/strict";
import type { Backend, Entry, Key } from "../../src/store/backend.ts";
import { DenoKvBackend } from "../../src/store/deno_kv.ts";
import { MasterKeys } from "../../src/store/master_keys.ts";
import { MemoryBackend } from "../../src/store/memory.ts";
import { SealedBackend } from "../../src/store/sealed_backend.ts";
import { StateStore } from "../../src/store/state_store.ts";
import { testConformance } from "./conformance.ts";
import { MODEL } from "./fixtures.ts";

const OLD = btoa("o".repeat(32));
const NEW = btoa("n".repeat(32));
const PLANTED = "a word that nobody else says";

const bytes = (text: string) => new TextEncoder().encode(text);

async function sealed(backend: Backend, ...keys: string[]): Promise<Backend> {
  return await SealedBackend.over(backend, await MasterKeys.parse(keys.join(",")));
}

testConformance("sealed memory", () => sealed(new MemoryBackend(), NEW));
testConformance(
  "sealed deno kv",
  async () => await sealed(await DenoKvBackend.open(":memory:"), NEW),
);
testConformance("memory, not sealed", () => {
  return SealedBackend.over(new MemoryBackend(), MasterKeys.NONE);
});

/** Everything that a backend holds, keys and values, as one text. */
async function dump(backend: Backend): Promise<string> {
  const found: string[] = [];
  const decoder = new TextDecoder();
  for await (const { key, value } of backend.list([])) {
    found.push(JSON.stringify(key), decoder.decode(value));
  }
  return found.join("\n");
}

async function planted(backend: Backend): Promise<{ id: string; hash: string }> {
  const store = new StateStore(backend);
  const state = new Uint8Array(200_000).fill(7);
  state.set(bytes(PLANTED), 70_000);
  const [hash] = await store.prefixes.hashes({ model: MODEL.fingerprint }, [
    { role: "user", content: PLANTED },
  ]);
  const content = {
    state,
    turn: bytes(`{"said":"${PLANTED}"}`),
    history: bytes(PLANTED),
    note: bytes(PLANTED),
    open: false,
  };
  const id = store.newId();
  await store.save(content, { id, model: MODEL, parent: null, prefix: hash });
  const { id: conversation } = await store.conversations.create({ metadata: { a: PLANTED } });
  assert.match(conversation, /^conv_/);
  return { id, hash };
}

async function stateOf(backend: Backend, id: string): Promise<Uint8Array> {
  return (await new StateStore(backend).load(id, { model: MODEL })).state!;
}

Deno.test("nothing that was said, and no state, is in an encrypted store's rows", async () => {
  const clear = new MemoryBackend();
  await planted(clear);
  assert.ok((await dump(clear)).includes(PLANTED));
  const rows = new MemoryBackend();
  const { id } = await planted(await sealed(rows, NEW));
  const found = await dump(rows);
  assert.ok(!found.includes(PLANTED));
  assert.ok(!found.includes(MODEL.fingerprint));
  assert.ok(!found.includes("\x07".repeat(20)));
  assert.equal((await stateOf(await sealed(rows, NEW), id))[0], 7);
});

Deno.test("hashes of transcripts are those of the master key: rows do not tell what was guessed right", async () => {
  const hashOf = async (...keys: string[]) => {
    const rows = new MemoryBackend();
    return (await planted(keys.length === 0 ? rows : await sealed(rows, ...keys))).hash;
  };
  const [none, old, again] = [await hashOf(), await hashOf(OLD), await hashOf(OLD, NEW)];
  const other = await hashOf(NEW);
  assert.equal(again, old);
  assert.equal(new Set([none, old, other]).size, 3);
  const plain = await SealedBackend.over(new MemoryBackend(), MasterKeys.NONE);
  assert.equal((await planted(plain)).hash, none);
});

Deno.test("a new master key is put before the old: both are read, the new one seals", async () => {
  const rows = new MemoryBackend();
  const clear = await planted(rows);
  const old = await planted(await sealed(rows, OLD));
  const both = await sealed(rows, NEW, OLD);
  const fresh = await planted(both);
  for (const { id } of [clear, old, fresh]) assert.equal((await stateOf(both, id))[0], 7);
  const only = await sealed(rows, NEW);
  assert.equal((await stateOf(only, fresh.id))[0], 7);
  assert.equal((await stateOf(only, clear.id))[0], 7);
  await assert.rejects(stateOf(only, old.id), {
    code: "state_damaged",
    message: /encrypted with master key [0-9a-f]{16}: add that to RWKV_MASTER_KEY/,
  });
  await assert.rejects(
    stateOf(await SealedBackend.over(rows, MasterKeys.NONE), fresh.id),
    { code: "state_damaged", message: /add that to RWKV_MASTER_KEY/ },
  );
});

Deno.test("a value is good at its own place only, and as it was written", async () => {
  const rows = new MemoryBackend();
  const backend = await sealed(rows, NEW);
  const at: Key = ["t", "state", "one"];
  await backend.atomic([], [{ type: "set", key: at, value: bytes("mine") }]);
  const { value } = (await rows.get(at))!;
  assert.equal(value.length, 4 + 40);
  const put = (key: Key, value: Uint8Array) => rows.atomic([], [{ type: "set", key, value }]);
  for (const elsewhere of [["t", "state", "two"], ["u", "state", "one"], ["t", "blob", "one"]]) {
    await put(elsewhere, value);
    await assert.rejects(backend.get(elsewhere), {
      code: "state_damaged",
      message: /it is not what was encrypted there/,
    });
  }
  for (let i = 12; i < value.length; i++) {
    const changed = value.slice();
    changed[i] ^= 1;
    await put(at, changed);
    await assert.rejects(backend.get(at), { code: "state_damaged" });
  }
  await put(at, value);
  const listed: Entry[] = await Array.fromAsync(backend.list(["t", "state"]));
  const texts = listed.map((entry) => new TextDecoder().decode(entry.value));
  assert.deepEqual(texts.map((text) => text === "mine"), [true, false]);
});

Deno.test("the same value is never sealed to the same bytes", async () => {
  const rows = new MemoryBackend();
  const backend = await sealed(rows, NEW);
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    await backend.atomic([], [{ type: "set", key: ["t", 1], value: bytes("same") }]);
    seen.add((await rows.get(["t", 1]))!.value.join());
  }
  assert.equal(seen.size, 50);
});

Deno.test("a master key is 32 bytes in base64; what is none is refused by its place, and not told", async () => {
  const refused = async (text: string, message: RegExp) => {
    await assert.rejects(MasterKeys.parse(text), (error: Error & { code: string }) => {
      assert.equal(error.code, "invalid_value");
      assert.match(error.message, message);
      assert.ok(!error.message.includes("c2VjcmV0"));
      return true;
    });
  };
  await refused("c2VjcmV0", /master key 1: it has 6 bytes/);
  await refused(`${NEW}, c2VjcmV0`, /master key 2: it has 6 bytes/);
  await refused("c2VjcmV0!", /master key 1: it is not base64/);
  await refused("", /master key 1: it has 0 bytes, .* `openssl rand -base64 32`/);
  assert.match((await MasterKeys.parse(`${NEW} , ${OLD}`)).sealing!, /^[0-9a-f]{16}$/);
});

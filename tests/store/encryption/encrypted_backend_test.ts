/** A store that is encrypted at rest: what can be read of it, by whom, and what cannot. */

import assert from "node:assert/strict";
import { hashKey } from "../../../src/store/keys/api_key_text.ts";
import { ApiKeys } from "../../../src/store/keys/api_keys.ts";
import type { Backend, Entry, Key } from "../../../src/store/backends/backend.ts";
import { DenoKvBackend } from "../../../src/store/backends/deno_kv.ts";
import { MasterKeys } from "../../../src/store/encryption/master_keys.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { EncryptedBackend } from "../../../src/store/encryption/encrypted_backend.ts";
import { ENCRYPTION_BYTES } from "../../../src/store/encryption/row_encryption.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { FaultyBackend, NO_BACKEND_FAULTS } from "../../support/faults/faulty_backend.ts";
import { Random } from "../../support/random_data.ts";
import { testConformance } from "../backends/conformance.ts";
import { MODEL } from "../fixtures.ts";

const OLD = btoa("o".repeat(32));
const NEW = btoa("n".repeat(32));
const PLANTED = "a word that nobody else says";

const bytes = (text: string) => new TextEncoder().encode(text);

async function sealed(backend: Backend, ...keys: string[]): Promise<Backend> {
  return await EncryptedBackend.over(backend, await MasterKeys.parse(keys.join(",")));
}

testConformance("sealed memory", () => sealed(new MemoryBackend(), NEW));
testConformance(
  "sealed deno kv",
  async () => await sealed(await DenoKvBackend.open(":memory:"), NEW),
);
testConformance("memory, not sealed", () => {
  return EncryptedBackend.over(new MemoryBackend(), MasterKeys.NONE);
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
  const [hash] = await store.prefixes.prefixHashes({ model: MODEL.fingerprint }, [
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
  const plain = await EncryptedBackend.over(new MemoryBackend(), MasterKeys.NONE);
  assert.equal((await planted(plain)).hash, none);
});

Deno.test("a new master key is put before the old: both are read, the new one seals", async () => {
  const rows = new MemoryBackend();
  const old = await planted(await sealed(rows, OLD));
  const both = await sealed(rows, NEW, OLD);
  const fresh = await planted(both);
  for (const { id } of [old, fresh]) assert.equal((await stateOf(both, id))[0], 7);
  const only = await sealed(rows, NEW);
  assert.equal((await stateOf(only, fresh.id))[0], 7);
  await assert.rejects(stateOf(only, old.id), {
    code: "state_damaged",
    message: /encrypted with master key [0-9a-f]{16}: add that key to RWKV_MASTER_KEY/,
  });
  await assert.rejects(sealed(rows, OLD), {
    code: "invalid_value",
    message: /encrypted with master key [0-9a-f]{16}: add that key to RWKV_MASTER_KEY/,
  });
});

Deno.test("a value is good at its own place only, and as it was written", async () => {
  const rows = new MemoryBackend();
  const backend = await sealed(rows, NEW);
  const at: Key = ["t", "state", "one"];
  await backend.atomic([], [{ type: "set", key: at, value: bytes("mine") }]);
  const { value } = (await rows.get(at))!;
  assert.equal(value.length, 4 + ENCRYPTION_BYTES);
  const put = (key: Key, value: Uint8Array) => rows.atomic([], [{ type: "set", key, value }]);
  for (const elsewhere of [["t", "state", "two"], ["u", "state", "one"], ["t", "blob", "one"]]) {
    await put(elsewhere, value);
    await assert.rejects(backend.get(elsewhere), {
      code: "state_damaged",
      message: /its content or location was changed/,
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
  assert.match((await MasterKeys.parse(`${NEW} , ${OLD}`)).current!, /^[0-9a-f]{16}$/);
});

Deno.test("an encrypted store takes no plaintext value, in any row, from anybody", async () => {
  const rows = new MemoryBackend();
  const backend = await sealed(rows, NEW);
  const { id } = await planted(backend);
  const clear = new MemoryBackend();
  const forged = await planted(clear);
  const hash = await hashKey("rwkv-" + "A".repeat(43));
  const key = bytes(JSON.stringify({ version: 1, tenant: "default", created: 1 }));
  await rows.atomic([], [{ type: "set", key: ["~", "key", hash], value: key }]);
  for await (const { key, value } of clear.list([])) {
    await rows.atomic([], [{ type: "set", key, value }]);
  }
  const options = { now: Date.now, random: (n: number) => new Uint8Array(n) };
  const keys = new ApiKeys({ backend, ...options });
  assert.equal(await keys.find(hash), null);
  assert.deepEqual(await keys.list(), []);
  await assert.rejects(stateOf(backend, forged.id), {
    code: "state_damaged",
    message: /it is plaintext in an encrypted store/,
  });
  assert.equal((await stateOf(backend, id))[0], 7);
  for await (const { key, value } of backend.list(["default"])) {
    const plain = await clear.get(key);
    if (plain && plain.value.length > 0) assert.equal(value.length, 0, JSON.stringify(key));
  }
});

Deno.test("without its key an encrypted store does not open, also one from before it was marked", async () => {
  const refused = { code: "invalid_value", param: "RWKV_MASTER_KEY", message: /it is encrypted/ };
  const rows = new MemoryBackend();
  const none = () => EncryptedBackend.over(rows, MasterKeys.NONE);
  await sealed(rows, NEW);
  await assert.rejects(none(), refused);
  await planted(await sealed(rows, NEW));
  await rows.delete(["~", "encryption"]);
  await assert.rejects(none(), refused);
  // With the key it is marked again.
  await sealed(rows, NEW);
  assert.ok(await rows.get(["~", "encryption"]));
  // Nobody marks it without the key.
  await rows.atomic([], [{ type: "set", key: ["~", "encryption"], value: bytes("{}") }]);
  await assert.rejects(sealed(rows, NEW), { code: "invalid_value", message: /another key/ });
});

Deno.test("a store that cannot be reached is verified before it is used", async () => {
  const rows = new MemoryBackend();
  await planted(await sealed(rows, NEW));
  const faulty = new FaultyBackend(rows, new Random(1));
  faulty.faults = { delayed: 0, failed: 1, lostReply: 0, diskFull: false };
  const backend = await EncryptedBackend.over(faulty, MasterKeys.NONE);
  const write = () =>
    backend.atomic([], [{ type: "set", key: ["default", "x"], value: bytes("plain") }]);
  await assert.rejects(write(), { code: "store_unavailable" });
  faulty.faults = NO_BACKEND_FAULTS;
  await assert.rejects(write(), { code: "store_unavailable", message: /set RWKV_MASTER_KEY/ });
  assert.equal(await rows.get(["default", "x"]), null);
});

Deno.test("values of the first version are read, and keys differ from day to day", async () => {
  const rows = new MemoryBackend();
  const keys = await MasterKeys.parse(NEW);
  const at: Key = ["t", "state", "one"];
  const key = (await keys.keyOf("t", { name: keys.current!, day: undefined }))!;
  const iv = new Uint8Array(12).fill(3);
  const additionalData = bytes(JSON.stringify(at));
  const parameters = { name: "AES-GCM", iv, additionalData };
  const encrypted = await crypto.subtle.encrypt(parameters, key, bytes("from before"));
  const name = Uint8Array.fromHex(keys.current!);
  const value = new Uint8Array([...bytes("RWS1"), ...name, ...iv, ...new Uint8Array(encrypted)]);
  await rows.atomic([], [{ type: "set", key: at, value }]);
  const text = async (backend: Backend) => new TextDecoder().decode((await backend.get(at))!.value);
  assert.equal(await text(await EncryptedBackend.over(rows, keys)), "from before");

  const day = 24 * 3_600_000;
  for (const now of [0, day - 1, day, 20_000 * day]) {
    const backend = await EncryptedBackend.over(rows, keys, { now: () => now });
    await backend.atomic([], [{ type: "set", key: at, value: bytes(`at ${now}`) }]);
    assert.equal(await text(await EncryptedBackend.over(rows, keys)), `at ${now}`);
    const stored = (await rows.get(at))!.value;
    assert.equal(new DataView(stored.buffer, stored.byteOffset).getUint32(12), now / day | 0);
  }
});

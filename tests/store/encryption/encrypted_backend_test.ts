/** Encryption at rest: confidentiality, integrity, and key rotation. */

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
const SECRET = "plaintext marker of this test";

const bytes = (text: string) => new TextEncoder().encode(text);

async function encrypted(backend: Backend, ...keys: string[]): Promise<Backend> {
  return await EncryptedBackend.over(backend, await MasterKeys.parse(keys.join(",")));
}

testConformance("encrypted memory", () => encrypted(new MemoryBackend(), NEW));
testConformance(
  "encrypted deno kv",
  async () => await encrypted(await DenoKvBackend.open(":memory:"), NEW),
);
testConformance("memory without encryption", () => {
  return EncryptedBackend.over(new MemoryBackend(), MasterKeys.NONE);
});

/** Returns all keys and values of a backend as text. */
async function dump(backend: Backend): Promise<string> {
  const found: string[] = [];
  const decoder = new TextDecoder();
  for await (const { key, value } of backend.list([])) {
    found.push(JSON.stringify(key), decoder.decode(value));
  }
  return found.join("\n");
}

async function fill(backend: Backend): Promise<{ id: string; hash: string }> {
  const store = new StateStore(backend);
  const state = new Uint8Array(200_000).fill(7);
  state.set(bytes(SECRET), 70_000);
  const [hash] = await store.prefixes.prefixHashes({ model: MODEL.fingerprint }, [
    { role: "user", content: SECRET },
  ]);
  const content = {
    state,
    turn: bytes(`{"said":"${SECRET}"}`),
    history: bytes(SECRET),
    note: bytes(SECRET),
    open: false,
  };
  const id = store.newId();
  await store.save(content, { id, model: MODEL, parent: null, prefix: hash });
  const { id: conversation } = await store.conversations.create({ metadata: { a: SECRET } });
  assert.match(conversation, /^conv_/);
  return { id, hash };
}

async function stateOf(backend: Backend, id: string): Promise<Uint8Array> {
  return (await new StateStore(backend).load(id, { model: MODEL })).state!;
}

Deno.test("rows of an encrypted store contain no plaintext of turns or states", async () => {
  const clear = new MemoryBackend();
  await fill(clear);
  assert.ok((await dump(clear)).includes(SECRET));
  const rows = new MemoryBackend();
  const { id } = await fill(await encrypted(rows, NEW));
  const found = await dump(rows);
  assert.ok(!found.includes(SECRET));
  assert.ok(!found.includes(MODEL.fingerprint));
  assert.ok(!found.includes("\x07".repeat(20)));
  assert.equal((await stateOf(await encrypted(rows, NEW), id))[0], 7);
});

Deno.test("hashes of transcripts depend on the master key, so rows do not confirm a guessed text", async () => {
  const hashOf = async (...keys: string[]) => {
    const rows = new MemoryBackend();
    return (await fill(keys.length === 0 ? rows : await encrypted(rows, ...keys))).hash;
  };
  const [none, old, again] = [await hashOf(), await hashOf(OLD), await hashOf(OLD, NEW)];
  const other = await hashOf(NEW);
  assert.equal(again, old);
  assert.equal(new Set([none, old, other]).size, 3);
  const plain = await EncryptedBackend.over(new MemoryBackend(), MasterKeys.NONE);
  assert.equal((await fill(plain)).hash, none);
});

Deno.test("with a new and an old master key both decrypt and the first one encrypts", async () => {
  const rows = new MemoryBackend();
  const old = await fill(await encrypted(rows, OLD));
  const both = await encrypted(rows, NEW, OLD);
  const fresh = await fill(both);
  for (const { id } of [old, fresh]) assert.equal((await stateOf(both, id))[0], 7);
  const only = await encrypted(rows, NEW);
  assert.equal((await stateOf(only, fresh.id))[0], 7);
  await assert.rejects(stateOf(only, old.id), {
    code: "state_damaged",
    message: /encrypted with master key [0-9a-f]{16}: add that key to RWKV_MASTER_KEY/,
  });
  await assert.rejects(encrypted(rows, OLD), {
    code: "invalid_value",
    message: /encrypted with master key [0-9a-f]{16}: add that key to RWKV_MASTER_KEY/,
  });
});

Deno.test("a value decrypts only unchanged and under its own key", async () => {
  const rows = new MemoryBackend();
  const backend = await encrypted(rows, NEW);
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

Deno.test("the same value never encrypts to the same bytes", async () => {
  const rows = new MemoryBackend();
  const backend = await encrypted(rows, NEW);
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    await backend.atomic([], [{ type: "set", key: ["t", 1], value: bytes("same") }]);
    seen.add((await rows.get(["t", 1]))!.value.join());
  }
  assert.equal(seen.size, 50);
});

Deno.test("an invalid master key is reported by its position without its text", async () => {
  const rejects = async (text: string, message: RegExp) => {
    await assert.rejects(MasterKeys.parse(text), (error: Error & { code: string }) => {
      assert.equal(error.code, "invalid_value");
      assert.match(error.message, message);
      assert.ok(!error.message.includes("c2VjcmV0"));
      return true;
    });
  };
  await rejects("c2VjcmV0", /master key 1: it has 6 bytes/);
  await rejects(`${NEW}, c2VjcmV0`, /master key 2: it has 6 bytes/);
  await rejects("c2VjcmV0!", /master key 1: it is not base64/);
  await rejects("", /master key 1: it has 0 bytes, .* `openssl rand -base64 32`/);
  assert.match((await MasterKeys.parse(`${NEW} , ${OLD}`)).current!, /^[0-9a-f]{16}$/);
});

Deno.test("an encrypted store accepts no plaintext value in any row", async () => {
  const rows = new MemoryBackend();
  const backend = await encrypted(rows, NEW);
  const { id } = await fill(backend);
  const clear = new MemoryBackend();
  const forged = await fill(clear);
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

Deno.test("an encrypted store does not open without its key, even without the encryption marker", async () => {
  const expected = { code: "invalid_value", param: "RWKV_MASTER_KEY", message: /it is encrypted/ };
  const rows = new MemoryBackend();
  const none = () => EncryptedBackend.over(rows, MasterKeys.NONE);
  await encrypted(rows, NEW);
  await assert.rejects(none(), expected);
  await fill(await encrypted(rows, NEW));
  await rows.delete(["~", "encryption"]);
  await assert.rejects(none(), expected);
  // Opening it with the key restores the marker.
  await encrypted(rows, NEW);
  assert.ok(await rows.get(["~", "encryption"]));
  // A marker that was written without the key is rejected.
  await rows.atomic([], [{ type: "set", key: ["~", "encryption"], value: bytes("{}") }]);
  await assert.rejects(encrypted(rows, NEW), { code: "invalid_value", message: /another key/ });
});

Deno.test("a store that was unreachable at the start is verified before its first use", async () => {
  const rows = new MemoryBackend();
  await fill(await encrypted(rows, NEW));
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

Deno.test("values of version 1 are read, and data keys differ by day", async () => {
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

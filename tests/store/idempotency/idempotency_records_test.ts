/** Idempotency records: claims, stored responses of any size, deletion, and lost acknowledgements. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  type Claim,
  CLAIM_MS,
  RECORD_TTL_MS,
} from "../../../src/store/idempotency/idempotency_records.ts";
import type { Backend, Check, Mutation } from "../../../src/store/backends/backend.ts";
import { collectGarbage } from "../../../src/store/states/gc.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { StateStore } from "../../../src/store/states/state_store.ts";
import { rejects } from "../../session/fixtures.ts";
import { content, DyingBackend, MODEL, pattern } from "../fixtures.ts";

const REQUEST = { key: "k", route: "POST /x", body: "{}" };

function createRecords() {
  let time = 1_800_000_000_000;
  const now = () => time;
  const backend = new MemoryBackend({ now });
  const open = () => new StateStore(backend, { now, monotonic: now }).idempotencyRecords;
  return { backend, now, open, records: open(), advance: (ms: number) => void (time += ms) };
}

async function claimed(result: Promise<Claim | Uint8Array>): Promise<Claim> {
  const claim = await result;
  assert.ok(!(claim instanceof Uint8Array), "the request already has a response");
  return claim;
}

Deno.test("responses of any size are returned again by other workers until they expire", async () => {
  for (const length of [0, 1, 65_536, 65_537, 1_500_000]) {
    const { records, open, backend, now, advance } = createRecords();
    const bytes = pattern(length, 3);
    await (await claimed(records.claim(REQUEST))).complete(bytes);
    const replay = () => open().claim(REQUEST) as Promise<Uint8Array>;
    advance(RECORD_TTL_MS - 1);
    await collectGarbage(backend, { now });
    assert.ok(Buffer.from(bytes).equals(await replay()), `${length}`);
    advance(1);
    await claimed(open().claim(REQUEST));
  }
});

Deno.test("a key is scoped to a route and bound to one body", async () => {
  const { records, open } = createRecords();
  await (await claimed(records.claim(REQUEST))).complete(pattern(9, 1));
  await rejects(open().claim({ ...REQUEST, body: "[]" }), "idempotency_key_reused", /"k"/);
  await claimed(open().claim({ ...REQUEST, route: "POST /y", body: "[]" }));
  await claimed(open().claim({ ...REQUEST, key: "l" }));
});

Deno.test("one of many concurrent claims succeeds", async () => {
  const { open } = createRecords();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => open().claim(REQUEST)));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  for (const one of results) {
    if (one.status === "rejected") assert.equal(one.reason.code, "request_in_progress");
  }
});

Deno.test("a claim is valid while it is renewed, and is taken over after its worker is killed", async () => {
  const { records, open, advance } = createRecords();
  const other = open();
  const first = await claimed(records.claim(REQUEST));
  for (let i = 0; i < 5; i++) {
    await rejects(other.claim(REQUEST), "request_in_progress");
    advance(CLAIM_MS - 1);
    await rejects(other.claim(REQUEST), "request_in_progress");
    assert.ok(await first.renew());
  }
  await rejects(other.claim(REQUEST), "request_in_progress");
  advance(CLAIM_MS);
  await rejects(open().claim(REQUEST), "request_in_progress");
  const second = await claimed(other.claim(REQUEST));
  assert.equal(await first.renew(), false);
  await first.complete(pattern(5, 1));
  await first.release();
  await rejects(open().claim(REQUEST), "request_in_progress");
  await second.complete(pattern(6, 2));
  assert.deepEqual(await open().claim(REQUEST), pattern(6, 2));
});

Deno.test("a renewed claim is not taken over by workers with different clocks", async () => {
  const time = 1_800_000_000_000;
  let elapsed = 0;
  const backend = new MemoryBackend({ now: () => time + elapsed });
  const worker = (ahead: number, booted: number) =>
    new StateStore(backend, {
      now: () => time + elapsed + ahead,
      monotonic: () => elapsed + booted,
    }).idempotencyRecords;
  const DAY = 24 * 3_600_000;
  for (const ahead of [-DAY, -60_000, 60_000, DAY]) {
    const [holder, other] = [worker(0, 5), worker(ahead, 9_999_999)];
    const claim = await claimed(holder.claim(REQUEST));
    for (let i = 0; i < 12; i++) {
      await rejects(other.claim(REQUEST), "request_in_progress");
      elapsed += CLAIM_MS / 3;
      await rejects(other.claim(REQUEST), "request_in_progress");
      assert.ok(await claim.renew());
    }
    await claim.release();
  }
});

Deno.test("a released claim can be claimed again", async () => {
  const { records, open, backend } = createRecords();
  await (await claimed(records.claim(REQUEST))).release();
  assert.equal(backend.size, 0);
  await claimed(open().claim(REQUEST));
});

Deno.test("the completion of a lost claim leaves no rows behind", async () => {
  const { records, open, backend, advance } = createRecords();
  const first = await claimed(records.claim(REQUEST));
  const other = open();
  await rejects(other.claim(REQUEST), "request_in_progress");
  advance(CLAIM_MS);
  await claimed(other.claim(REQUEST));
  const before = backend.size;
  await first.complete(pattern(200_000, 1));
  assert.equal(backend.size, before);
});

/** Returns all rows of a backend as text. */
async function dump(backend: Backend): Promise<string> {
  const texts: string[] = [];
  for await (const { key, value } of backend.list(["default"])) {
    texts.push(`${JSON.stringify(key)} ${new TextDecoder().decode(value)}`);
  }
  return texts.join("\n");
}

const SECRET = new TextEncoder().encode("secret ".repeat(30_000));

/** Creates two states and a claim for a response that names both. */
async function createStatesAndClaim() {
  const world = createRecords();
  const store = new StateStore(world.backend, { now: world.now });
  const states = [store.newId(), store.newId()];
  for (const id of states) {
    await store.save(content(1, { length: 100 }), { id, model: MODEL, parent: null });
  }
  const claim = await claimed(store.idempotencyRecords.claim(REQUEST));
  return { ...world, store, states, claim };
}

Deno.test("deleting a state deletes the responses that name it, and their keys return an error", async () => {
  for (const deleted of [0, 1]) {
    const { store, states, claim, backend, open, advance } = await createStatesAndClaim();
    await claim.complete(SECRET, states);
    await (await claimed(store.idempotencyRecords.claim({ ...REQUEST, key: "l" }))).complete(
      pattern(9, 1),
    );
    assert.match(await dump(backend), /secret/);
    await store.delete(states[deleted]);
    assert.doesNotMatch(await dump(backend), /secret/);
    await rejects(open().claim(REQUEST), "answer_gone", /"k" .*use a new key/);
    await rejects(open().claim({ ...REQUEST, body: "[]" }), "answer_gone");
    assert.deepEqual(await open().claim({ ...REQUEST, key: "l" }), pattern(9, 1));
    await store.delete(states[1 - deleted]);
    advance(RECORD_TTL_MS);
    await (await claimed(open().claim(REQUEST))).complete(SECRET);
    assert.deepEqual(await open().claim(REQUEST), SECRET);
  }
});

Deno.test("a response is deleted if its state was deleted before the response was stored", async () => {
  const { store, states, claim, backend, open } = await createStatesAndClaim();
  await store.delete(states[0]);
  await claim.complete(SECRET, states);
  assert.doesNotMatch(await dump(backend), /secret/);
  await rejects(open().claim(REQUEST), "answer_gone");
});

Deno.test("an interrupted deletion is completed by the next one", async () => {
  const { store, states, claim, backend, now } = await createStatesAndClaim();
  await claim.complete(SECRET, states);
  const rows = (await Array.fromAsync(backend.list(["default"]))).length;
  for (let writes = 1; writes < 10; writes++) {
    const dying = new DyingBackend(backend, { writes, after: false });
    await assert.rejects(new StateStore(dying, { now }).delete(states[0]));
    if ((await Array.fromAsync(backend.list(["default"]))).length < rows) break;
  }
  assert.match(await dump(backend), /secret/);
  await rejects(store.delete(states[0]), "state_not_found");
  assert.doesNotMatch(await dump(backend), /secret/);
});

Deno.test("a damaged record does not prevent the deletion of its state", async () => {
  const { store, states, claim, backend, open } = await createStatesAndClaim();
  await claim.complete(SECRET, states);
  for await (const { key } of backend.list(["default", "idempotency"])) {
    await backend.atomic([], [{ type: "set", key, value: Uint8Array.of(1) }]);
  }
  await store.delete(states[0]);
  await claimed(open().claim(REQUEST));
});

/** Reports successful writes as failed checks, like a client that repeats a write after a lost reply. */
class LostReplyBackend extends MemoryBackend {
  override async atomic(checks: readonly Check[], mutations: readonly Mutation[]) {
    const written = await super.atomic(checks, mutations);
    return checks.length === 0 ? written : null;
  }
}

Deno.test("writes with a lost acknowledgement take effect", async () => {
  const backend = new LostReplyBackend();
  const claim = await claimed(new StateStore(backend).idempotencyRecords.claim(REQUEST));
  assert.ok(await claim.renew());
  await claim.complete(pattern(70_000, 4));
  const response = await new StateStore(backend).idempotencyRecords.claim(REQUEST);
  assert.ok(response instanceof Uint8Array && Buffer.from(response).equals(pattern(70_000, 4)));
});

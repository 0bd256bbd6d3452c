/** Answers that are given once: claims, answers of any size, and writes that are told to be lost. */

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

const ASKED = { key: "k", route: "POST /x", body: "{}" };

function opened() {
  let time = 1_800_000_000_000;
  const now = () => time;
  const backend = new MemoryBackend({ now });
  const open = () => new StateStore(backend, { now, monotonic: now }).idempotencyRecords;
  return { backend, now, open, answers: open(), pass: (ms: number) => void (time += ms) };
}

async function claimed(asked: Promise<Claim | Uint8Array>): Promise<Claim> {
  const claim = await asked;
  assert.ok(!(claim instanceof Uint8Array), "it was answered before");
  return claim;
}

Deno.test("answers of any size are given again, elsewhere, for a day", async () => {
  for (const length of [0, 1, 65_536, 65_537, 1_500_000]) {
    const { answers, open, backend, now, pass } = opened();
    const bytes = pattern(length, 3);
    await (await claimed(answers.claim(ASKED))).complete(bytes);
    const given = () => open().claim(ASKED) as Promise<Uint8Array>;
    pass(RECORD_TTL_MS - 1);
    await collectGarbage(backend, { now });
    assert.ok(Buffer.from(bytes).equals(await given()), `${length}`);
    pass(1);
    await claimed(open().claim(ASKED));
  }
});

Deno.test("a key belongs to a route, and to one body", async () => {
  const { answers, open } = opened();
  await (await claimed(answers.claim(ASKED))).complete(pattern(9, 1));
  await rejects(open().claim({ ...ASKED, body: "[]" }), "idempotency_key_reused", /"k"/);
  await claimed(open().claim({ ...ASKED, route: "POST /y", body: "[]" }));
  await claimed(open().claim({ ...ASKED, key: "l" }));
});

Deno.test("of many that claim at once one wins", async () => {
  const { open } = opened();
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => open().claim(ASKED)));
  assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
  for (const one of all) {
    if (one.status === "rejected") assert.equal(one.reason.code, "request_in_progress");
  }
});

Deno.test("a claim lasts while it is renewed, and is taken over when its worker is killed", async () => {
  const { answers, open, pass } = opened();
  const other = open();
  const first = await claimed(answers.claim(ASKED));
  for (let i = 0; i < 5; i++) {
    await rejects(other.claim(ASKED), "request_in_progress");
    pass(CLAIM_MS - 1);
    await rejects(other.claim(ASKED), "request_in_progress");
    assert.ok(await first.renew());
  }
  await rejects(other.claim(ASKED), "request_in_progress");
  pass(CLAIM_MS);
  await rejects(open().claim(ASKED), "request_in_progress");
  const second = await claimed(other.claim(ASKED));
  assert.equal(await first.renew(), false);
  await first.complete(pattern(5, 1));
  await first.release();
  await rejects(open().claim(ASKED), "request_in_progress");
  await second.complete(pattern(6, 2));
  assert.deepEqual(await open().claim(ASKED), pattern(6, 2));
});

Deno.test("clocks that differ let nobody take a claim that is renewed", async () => {
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
    const claim = await claimed(holder.claim(ASKED));
    for (let i = 0; i < 12; i++) {
      await rejects(other.claim(ASKED), "request_in_progress");
      elapsed += CLAIM_MS / 3;
      await rejects(other.claim(ASKED), "request_in_progress");
      assert.ok(await claim.renew());
    }
    await claim.release();
  }
});

Deno.test("a claim that is given up is there for the next one", async () => {
  const { answers, open, backend } = opened();
  await (await claimed(answers.claim(ASKED))).release();
  assert.equal(backend.size, 0);
  await claimed(open().claim(ASKED));
});

Deno.test("the loser of a key leaves no bytes behind", async () => {
  const { answers, open, backend, pass } = opened();
  const first = await claimed(answers.claim(ASKED));
  const other = open();
  await rejects(other.claim(ASKED), "request_in_progress");
  pass(CLAIM_MS);
  await claimed(other.claim(ASKED));
  const before = backend.size;
  await first.complete(pattern(200_000, 1));
  assert.equal(backend.size, before);
});

/** All that is in a backend, as text. */
async function dump(backend: Backend): Promise<string> {
  const texts: string[] = [];
  for await (const { key, value } of backend.list(["default"])) {
    texts.push(`${JSON.stringify(key)} ${new TextDecoder().decode(value)}`);
  }
  return texts.join("\n");
}

const SECRET = new TextEncoder().encode("secret ".repeat(30_000));

/** A state, and an answer that names it and another one. */
async function answered() {
  const it = opened();
  const store = new StateStore(it.backend, { now: it.now });
  const states = [store.newId(), store.newId()];
  for (const id of states) {
    await store.save(content(1, { length: 100 }), { id, model: MODEL, parent: null });
  }
  const claim = await claimed(store.idempotencyRecords.claim(ASKED));
  return { ...it, store, states, claim };
}

Deno.test("deleting a state deletes the answers that name it, and their keys say so", async () => {
  for (const deleted of [0, 1]) {
    const { store, states, claim, backend, open, pass } = await answered();
    await claim.complete(SECRET, states);
    await (await claimed(store.idempotencyRecords.claim({ ...ASKED, key: "l" }))).complete(
      pattern(9, 1),
    );
    assert.match(await dump(backend), /secret/);
    await store.delete(states[deleted]);
    assert.doesNotMatch(await dump(backend), /secret/);
    await rejects(open().claim(ASKED), "answer_gone", /"k" .*use a new key/);
    await rejects(open().claim({ ...ASKED, body: "[]" }), "answer_gone");
    assert.deepEqual(await open().claim({ ...ASKED, key: "l" }), pattern(9, 1));
    await store.delete(states[1 - deleted]);
    pass(RECORD_TTL_MS);
    await (await claimed(open().claim(ASKED))).complete(SECRET);
    assert.deepEqual(await open().claim(ASKED), SECRET);
  }
});

Deno.test("a state that is deleted before its answer is kept takes it along as well", async () => {
  const { store, states, claim, backend, open } = await answered();
  await store.delete(states[0]);
  await claim.complete(SECRET, states);
  assert.doesNotMatch(await dump(backend), /secret/);
  await rejects(open().claim(ASKED), "answer_gone");
});

Deno.test("a deletion that broke off is completed by the next one", async () => {
  const { store, states, claim, backend, now } = await answered();
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

Deno.test("an answer whose row is damaged does not keep its state from being deleted", async () => {
  const { store, states, claim, backend, open } = await answered();
  await claim.complete(SECRET, states);
  for await (const { key } of backend.list(["default", "idempotency"])) {
    await backend.atomic([], [{ type: "set", key, value: Uint8Array.of(1) }]);
  }
  await store.delete(states[0]);
  await claimed(open().claim(ASKED));
});

/** Writes, and is told that a check failed: so looks a write that was tried again by itself. */
class ForgetfulBackend extends MemoryBackend {
  override async atomic(checks: readonly Check[], mutations: readonly Mutation[]) {
    const written = await super.atomic(checks, mutations);
    return checks.length === 0 ? written : null;
  }
}

Deno.test("writes whose acknowledgement was lost count all the same", async () => {
  const backend = new ForgetfulBackend();
  const claim = await claimed(new StateStore(backend).idempotencyRecords.claim(ASKED));
  assert.ok(await claim.renew());
  await claim.complete(pattern(70_000, 4));
  const given = await new StateStore(backend).idempotencyRecords.claim(ASKED);
  assert.ok(given instanceof Uint8Array && Buffer.from(given).equals(pattern(70_000, 4)));
});

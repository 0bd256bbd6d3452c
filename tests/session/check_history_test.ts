/** Histories and records from anybody: what they cost, and numbers that only look right. */

import assert from "node:assert/strict";
import { checkHistory, checkRecord } from "../../src/session/check_record.ts";
import { appendEntries } from "../../src/session/history.ts";

const entry = { role: "user", content: "" } as const;

const refused = { code: "invalid_state_file", param: "turn.earlier.count" };

Deno.test("the shortest messages are taken, as many as are told", () => {
  const bytes = appendEntries(null, Array(1000).fill(entry))!;
  assert.equal(checkHistory(bytes, 1000).length, 1000);
  for (const count of [0, 999, 1001, 2 ** 52]) {
    assert.throws(() => checkHistory(bytes, count), refused);
  }
  assert.deepEqual(checkHistory(null, 0), []);
  assert.throws(() => checkHistory(null, 1), refused);
});

Deno.test("lines without messages are refused before any text is made of them", () => {
  const empty = new Uint8Array(30_000_000).fill(10);
  for (const count of [0, 1, 1000, 30_000_000]) {
    assert.throws(() => checkHistory(empty, count), refused);
  }
});

Deno.test("a record with a zero below zero is none that a worker wrote", () => {
  const record = (pending: string, count = "1") =>
    new TextEncoder().encode(
      `{"version":1,"pending":[${pending}],"absorbed":1,"position":0,"seed":"1",` +
        `"counts":[[3,${count}]],"held":"","earlier":null,` +
        `"transcript":[{"role":"assistant","content":""}]}`,
    );
  const context = { vocabulary: 9, open: false, fresh: false };
  assert.deepEqual(checkRecord(record("0"), context).pending, [0]);
  const wrong = { code: "invalid_state_file" };
  assert.throws(() => checkRecord(record("-0"), context), { ...wrong, param: "turn.pending[0]" });
  assert.throws(() => checkRecord(record("0", "-0"), context), wrong);
});

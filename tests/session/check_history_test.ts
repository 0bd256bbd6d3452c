/** Untrusted histories and snapshots: their cost, and numbers that only look valid. */

import assert from "node:assert/strict";
import {
  checkHistory,
  checkSnapshot,
  MAX_MESSAGES,
  MAX_TURN_MESSAGES,
} from "../../src/session/check_snapshot.ts";
import { appendEntries, decodeEntries } from "../../src/session/stored_turn.ts";
import { longestStall } from "../support/faults/event_loop_watchdog.ts";

const entry = { role: "user", content: "" } as const;

const rejection = { code: "invalid_state_file", param: "turn.earlier.count" };
const badHistory = { code: "invalid_state_file", param: "history" };
const utf8 = new TextEncoder();

Deno.test("accepts the declared number of minimal messages", async () => {
  const bytes = (await appendEntries(null, Array(1000).fill(entry)))!;
  assert.equal((await checkHistory(bytes, 1000)).length, 1000);
  for (const count of [0, 999, 1001, 2 ** 52]) {
    await assert.rejects(checkHistory(bytes, count), rejection);
  }
  assert.deepEqual(await checkHistory(null, 0), []);
  await assert.rejects(checkHistory(null, 1), rejection);
});

Deno.test("rejects a history with too many messages", async () => {
  const bytes = (await appendEntries(null, Array(MAX_MESSAGES + 1).fill(entry)))!;
  await assert.rejects(checkHistory(bytes, MAX_MESSAGES + 1), {
    ...rejection,
    message:
      "Cannot use a state file: its turn declares a history of 65537 messages, the limit is 65536",
  });
  const most = bytes.subarray(0, bytes.length - bytes.length / (MAX_MESSAGES + 1));
  assert.equal((await checkHistory(most, MAX_MESSAGES)).length, MAX_MESSAGES);
});

Deno.test("rejects lines without messages quickly", async () => {
  const empty = new Uint8Array(30_000_000).fill(10);
  const stall = await longestStall(async () => {
    for (const count of [1, 1000, 30_000_000]) {
      await assert.rejects(checkHistory(empty, count), rejection);
    }
  });
  assert.ok(stall < 50, `${stall} ms`);
  assert.deepEqual(await checkHistory(empty, 0), []);
});

Deno.test("rejects a message that is too long or invalid before parsing it", async () => {
  const cases: [string, RegExp][] = [
    [
      `{"role":"user","content":"${"x".repeat(4 * 1024 * 1024)}"}\n`,
      /message 0 .* has 4194\d+ bytes/,
    ],
    [`[${"{},".repeat(1_000_000)}{}]\n`, /message 0 of its history contains more than 16 values/],
    [`${"[".repeat(1_000_000)}\n`, /message 0 of its history is nested more than 4 deep/],
    ['{"role":"user"\n', /not lines of JSON/],
  ];
  for (const [text, message] of cases) {
    await assert.rejects(checkHistory(utf8.encode(text), 1), { ...badHistory, message });
  }
  const notUtf8 = new Uint8Array([0xff, 0x0a]);
  await assert.rejects(checkHistory(notUtf8, 1), badHistory);
});

Deno.test("reads and writes a long history without blocking the event loop", async () => {
  const messages = Array(40_000).fill({ role: "user", content: "word ".repeat(100) });
  const stall = await longestStall(async () => {
    const bytes = await appendEntries(null, messages);
    const longer = await appendEntries(bytes, [entry]);
    assert.equal((await checkHistory(longer, 40_001)).length, 40_001);
    assert.deepEqual((await decodeEntries(longer)).at(-1), entry);
  });
  assert.ok(stall < 50, `${stall} ms`);
});

const record = ({ pending = "0", count = "1", transcript = '{"role":"assistant","content":""}' }) =>
  utf8.encode(
    `{"version":1,"pending":[${pending}],"absorbed":1,"position":0,"seed":"1",` +
      `"counts":[[3,${count}]],"held":"","earlier":null,"transcript":[${transcript}]}`,
  );
const context = { vocabulary: 9, open: false, isInitialState: false };

Deno.test("rejects a snapshot with a negative zero", () => {
  assert.deepEqual(checkSnapshot(record({}), context).pending, [0]);
  const wrong = { code: "invalid_state_file" };
  assert.throws(() => checkSnapshot(record({ pending: "-0" }), context), {
    ...wrong,
    param: "turn.pending[0]",
  });
  assert.throws(() => checkSnapshot(record({ count: "-0" }), context), wrong);
});

Deno.test("limits the messages and the values of a snapshot", () => {
  const messages = (count: number) => Array(count).fill('{"role":"assistant","content":""}').join();
  const most = record({ transcript: messages(MAX_TURN_MESSAGES) });
  assert.equal(checkSnapshot(most, context).transcript.length, MAX_TURN_MESSAGES);
  assert.throws(
    () => checkSnapshot(record({ transcript: messages(MAX_TURN_MESSAGES + 1) }), context),
    {
      code: "invalid_state_file",
      param: "turn.transcript",
      message: /a list of 16385, and must be a list of at most 16384/,
    },
  );
  assert.throws(() => checkSnapshot(record({ pending: Array(300_000).fill(0).join() }), context), {
    code: "invalid_state_file",
    param: "turn",
    message: /its turn contains more than 300000 values/,
  });
});

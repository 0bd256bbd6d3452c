/** State files: export from one store, import into another, and validation. */

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { encodeSnapshot } from "../../src/session/stored_turn.ts";
import { exportState, importState } from "../../src/session/state_transfer.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { encodeState, type StateShape } from "../../src/store/states/state_codec.ts";
import { encodeStateFile } from "../../src/store/states/state_file.ts";
import { StateStore } from "../../src/store/states/state_store.ts";
import { GOLDEN } from "../support/golden_data.ts";
import { chunked, concat, partsOf, replace, reseal } from "../store/states/state_file_fixtures.ts";
import { type Harness, harness, ids, MODEL, rejects, run, stored, user } from "./fixtures.ts";

const DAY = 24 * 3_600_000;

async function fileOf({ sessions }: Pick<Harness, "sessions">, id: string) {
  return concat((await sessions.exportState(id)).parts);
}

function encode(numbers: Float32Array, shape: Partial<StateShape> = {}): Uint8Array {
  return encodeState(numbers, { codec: "f32", shape: { ...MODEL.shape, ...shape } });
}

const openFile = () => Deno.readFile(`${GOLDEN}state-file/v1.rwkvstate`);

Deno.test("a conversation continues identically in another store", async () => {
  for (const maxTokens of [3, 500]) {
    const it = harness();
    const first = await run(it.sessions, { messages: [user("tell")], seed: 5n, maxTokens });
    const file = await fileOf(it, first.stateId);
    const there = harness();
    const described = await there.sessions.importState(chunked(file));
    const { id, created, expires, ...same } = described;
    const { id: old, created: before, expires: _, ...expected } = await it.sessions.describe(
      first.stateId,
    );
    assert.deepEqual(same, expected);
    assert.notEqual(id, old);
    assert.equal(created, before);
    assert.ok(expires > Date.now() + 6.9 * DAY);
    const info = (await there.store.inspect(id)).info;
    assert.deepEqual([info.parent, info.tokens], [null, same.tokens]);

    const request = { messages: same.open ? [] : [user("more")], seed: 6n, maxTokens: 30 };
    const here = await run(it.sessions, { ...request, stateId: old });
    const moved = await run(there.sessions, { ...request, stateId: id });
    assert.equal(moved.text, here.text);
    assert.deepEqual(moved.usage, here.usage);
    assert.deepEqual(await stored(there, moved.stateId), await stored(it, here.stateId));
    assert.deepEqual(partsOf(await fileOf(there, id)), partsOf(file));
  }
});

Deno.test("a worker rejects a state file of another vocabulary", async () => {
  const of = (vocabularyHash: string) => ({
    model: { ...MODEL, vocabularyHash },
    storeOptions: { vocabularyHash },
  });
  const it = harness(of("aaaa"));
  const { stateId } = await run(it.sessions, { messages: [user("tell")] });
  const [own, other, older] = [harness(of("aaaa")), harness(of("bbbb")), harness()];
  for (const from of [it, harness({ ...of("bbbb"), backend: it.backend })]) {
    const file = await fileOf(from, stateId);
    for (const there of [own, other, older]) {
      const importing = there.sessions.importState(chunked(file));
      if (there === other) {
        await rejects(
          importing,
          "model_mismatch",
          /its vocabulary is aaaa, .* uses bbbb; .*--vocab/,
        );
      } else {
        const { id } = await importing;
        await run(there.sessions, { messages: [user("more")], stateId: id });
      }
    }
  }
});

Deno.test("a turn that has just started is exported with its pending prompt", async () => {
  const gate = Promise.withResolvers<void>();
  const script = ids(" Hello", 0);
  const it = harness({ script, before: () => gate.promise });
  const turn = await it.sessions.start({ messages: [user("hi")], seed: 1n, stream: true });
  const file = await fileOf(it, turn.stateId!);
  gate.resolve();
  const { text } = await turn.result();
  assert.equal(partsOf(file).header.state, null);
  const there = harness({ script });
  const { id, open, tokens } = await there.sessions.importState(chunked(file));
  assert.deepEqual([open, tokens], [true, 0]);
  assert.equal((await run(there.sessions, { messages: [], stateId: id })).text, text);
});

Deno.test("imports and resumes a file of format version 1", async () => {
  const it = harness({ script: ids("..!", 0) });
  const { id, transcript } = await it.sessions.importState(chunked(await openFile()));
  assert.equal(transcript[2].content, "Hello wörld");
  assert.equal((await run(it.sessions, { messages: [], stateId: id })).text, "!");
});

Deno.test("a file name does not contain the whole state id", async () => {
  const it = harness({ script: ids(" Hello", 0) });
  const { stateId } = await run(it.sessions, { messages: [user("hi")] });
  const { name, bytes, parts } = await it.sessions.exportState(stateId);
  assert.equal(name, `${stateId.slice(0, 18)}.rwkvstate`);
  assert.equal(bytes, concat(parts).length);
  assert.ok(!new TextDecoder().decode(concat(parts)).includes(stateId));
});

Deno.test("exporting fails with the same errors as resuming", async () => {
  const it = harness();
  await rejects(it.sessions.exportState(it.store.newId()), "state_not_found");
  await rejects(it.sessions.exportState("../etc"), "state_not_found");
  const other = new StateStore(it.backend, { now: () => Date.now() - 8 * DAY });
  const id = other.newId();
  const content = { state: null, turn: new Uint8Array(3), open: true };
  await other.save(content, { id, model: MODEL, parent: null });
  await rejects(it.sessions.exportState(id), "state_expired");
});

Deno.test("rejects another model's file before reading its parts", async () => {
  const it = harness();
  const file = await reseal(await openFile(), (header) => {
    header.model.fingerprint = "sha256:bbbb";
    header.state.bytes = 1e9;
  });
  await rejects(
    it.sessions.importState(chunked(file)),
    "model_mismatch",
    /"toy" \(sha256:bbbb\), this worker runs "toy" \(sha256:70f\)/,
  );
  // Without a model there is nothing to compare with.
  const store = new StateStore(new MemoryBackend());
  const own = await reseal(
    await openFile(),
    ({ model }) => void (model.fingerprint = "sha256:bbbb"),
  );
  const id = await importState(chunked(own), { store, model: null });
  assert.equal((await store.inspect(id)).info.model.fingerprint, "sha256:bbbb");
  const { header, history, state } = partsOf(concat((await exportState(store, id)).parts));
  const { header: before, ...parts } = partsOf(own);
  assert.deepEqual([history, state], [parts.history, parts.state]);
  assert.deepEqual(header.model, before.model);
  // A transcript's hash depends on its model.
  assert.notDeepEqual(header.turn, before.turn);
});

Deno.test("the state must match the model and be finite", async () => {
  const it = harness();
  const golden = await openFile();
  const cases: [state: Uint8Array, message: RegExp][] = [
    [new Uint8Array(), /too few for a header/],
    [encode(new Float32Array(6), { layers: 2 }), /6 numbers of shape 2 x 1 x 1, .* have 3 of/],
    [encode(new Float32Array(8), { width: 2, headSize: 2 }), /8 numbers of shape 1 x 2 x 2/],
    [encode(Float32Array.of(1, 2, NaN)), /number 2 is NaN, and must be finite/],
    [encode(Float32Array.of(1, -Infinity, 3)), /number 1 is -Infinity/],
    [encode(new Float32Array(3)).fill(0, 0, 4), /does not begin with RWKS/],
    [new Uint8Array(2000), /has 2000 bytes, the maximum of this model is 1036/],
  ];
  for (const [state, message] of cases) {
    const file = await replace(golden, { state });
    await rejects(it.sessions.importState(chunked(file)), "invalid_state_file", message);
  }
  const store = new StateStore(new MemoryBackend());
  const nan = await replace(golden, { state: encode(Float32Array.of(0, NaN, 0)) });
  await rejects(importState(chunked(nan), { store, model: null }), "invalid_state_file", /NaN/);
});

Deno.test("does not accept a creation time in the future", async () => {
  const it = harness();
  const file = await reseal(await openFile(), (header) => header.created = 8.64e15);
  const { created } = await it.sessions.importState(chunked(file));
  assert.ok(created <= Date.now());
});

Deno.test("names an invalid field of the snapshot", async () => {
  const it = harness();
  const golden = await openFile();
  const valid = JSON.parse(new TextDecoder().decode(partsOf(golden).turn));
  const say = (role: unknown, content: unknown, more = {}) => ({ role, content, ...more });
  const end = say("assistant", "");
  const cases: [change: Record<string, unknown>, param: string, message: RegExp][] = [
    [{ version: 2 }, "version", /is 2, and must be 1/],
    [{ version: undefined }, "version", /is missing/],
    [{ secret: 1 }, "", /without "secret"/],
    [{ pending: undefined }, "pending", /must be a list/],
    [{ pending: {} }, "pending", /is an object, and must be a list/],
    [{ pending: [] }, "pending", /at least one token/],
    [{ pending: [1, 272] }, "pending[1]", /is 272, and must be a token id, .* 0 to 271/],
    [{ pending: [-1] }, "pending[0]", /token id/],
    [{ pending: [1.5] }, "pending[0]", /token id/],
    [{ pending: ["1"] }, "pending[0]", /is "1"/],
    [{ pending: [null] }, "pending[0]", /is null/],
    [{ pending: Array(32_769).fill(1) }, "pending", /list of 32769, and .* at most 32768/],
    [{ absorbed: -1 }, "absorbed", /whole number from 0 to/],
    [{ absorbed: 2 ** 53 }, "absorbed", /whole number/],
    [{ absorbed: 0.5 }, "absorbed", /whole number/],
    [{ position: 1e300 }, "position", /whole number/],
    [{ position: "3" }, "position", /whole number/],
    [{ seed: 3 }, "seed", /as text/],
    [{ seed: "-1" }, "seed", /from 0 to 18446744073709551615/],
    [{ seed: "18446744073709551616" }, "seed", /from 0/],
    [{ seed: "0x10" }, "seed", /from 0/],
    [{ seed: "9".repeat(1000) }, "seed", /from 0/],
    [{ counts: { 1: 1 } }, "counts", /must be a list/],
    [{ counts: [[1]] }, "counts[0]", /a pair/],
    [{ counts: [[1, 1], [272, 1]] }, "counts[1][0]", /token id/],
    [{ counts: [[1, 1], [1, 2]] }, "counts[1][0]", /an id that does not occur before/],
    [{ counts: [[1, -1]] }, "counts[0][1]", /number from 0/],
    [{ counts: [[1, null]] }, "counts[0][1]", /number from 0/],
    [{ counts: [[1, 1e300]] }, "counts[0][1]", /number from 0/],
    [{ counts: Array(273).fill([1, 1]) }, "counts", /at most 272/],
    [{ held: "abc" }, "held", /hexadecimal/],
    [{ held: "0A" }, "held", /lower-case/],
    [{ held: "00".repeat(65) }, "held", /at most 64 bytes/],
    [{ held: [] }, "held", /is a list of 0/],
    [{ earlier: 5 }, "earlier", /must be an object/],
    [{ earlier: { count: -1, hash: "" } }, "earlier.count", /whole number/],
    [{ earlier: { count: 1, hash: 5 } }, "earlier.hash", /must be a string/],
    [{ earlier: { count: 1, hash: "", x: 1 } }, "earlier", /without "x"/],
    [{ earlier: { count: 2, hash: "" } }, "earlier.count", /has 1 messages, .* declares 2/],
    [{ transcript: [] }, "transcript", /ends with the assistant's reply/],
    [{ transcript: "" }, "transcript", /must be a list/],
    [{ transcript: [[], end] }, "transcript[0]", /must be an object/],
    [{ transcript: [say("tool", ""), end] }, "transcript[0].role", /is "tool"/],
    [{ transcript: [say("toString", ""), end] }, "transcript[0].role", /one of system/],
    [{ transcript: [end, say("assistant", 5)] }, "transcript[1].content", /must be a string/],
    [{ transcript: [say("user", "", { name: "x" }), end] }, "transcript[0]", /without "name"/],
  ];
  const importing = async (turn: Uint8Array) =>
    await it.sessions.importState(chunked(await replace(golden, { turn })));
  for (const [change, field, message] of cases) {
    const turn = new TextEncoder().encode(JSON.stringify({ ...valid, ...change }));
    await assert.rejects(importing(turn), (error) => {
      assert.ok(error instanceof InferenceError, String(error));
      assert.match(error.message, message);
      const param = field === "" ? "turn" : `turn.${field}`;
      assert.deepEqual([error.code, error.param], ["invalid_state_file", param]);
      return true;
    });
  }
  for (const text of ["", "{", "[1,", "\xff", "[".repeat(100_000)]) {
    await rejects(
      importing(Uint8Array.from(text, (c) => c.charCodeAt(0))),
      "invalid_state_file",
      /turn is not JSON/,
    );
  }
  for (const text of ["null", "[]", '"x"', `${"[".repeat(1e5)}${"]".repeat(1e5)}`]) {
    await rejects(
      importing(new TextEncoder().encode(text)),
      "invalid_state_file",
      /turn is .*, and must be an object/,
    );
  }
});

Deno.test("accepts a closed turn and a turn before any token", async () => {
  const it = harness();
  const record = {
    pending: Array(32_769).fill(1),
    processedTokens: 3,
    position: 0,
    seed: 0n,
    counts: new Map(),
    undisplayedBytes: new Uint8Array(),
    earlier: null,
    transcript: [{ role: "assistant" as const, content: "" }],
  };
  const file = { model: MODEL, created: 0, open: false, history: null, state: null };
  const importing = async (change: object, record: Parameters<typeof encodeSnapshot>[0]) => {
    const parts = await encodeStateFile({ ...file, turn: encodeSnapshot(record), ...change });
    return await it.sessions.importState(chunked(concat(parts)));
  };
  await rejects(importing({}, record), "invalid_state_file", /pending is a list of 32769/);
  const few = { ...record, pending: [] };
  await rejects(importing({}, few), "invalid_state_file", /absorbed is 3, and must be 0/);
  await rejects(importing({ open: true }, few), "invalid_state_file", /pending .* at least one/);
  const { id } = await importing({}, { ...few, processedTokens: 0 });
  await run(it.sessions, { messages: [user("hi")], stateId: id, maxTokens: 2 });
});

Deno.test("accepts every snapshot that a worker writes", async () => {
  for (let seed = 0n; seed < 40n; seed++) {
    const it = harness();
    const maxTokens = 1 + Number(seed) * 3 % 40;
    let { stateId } = await run(it.sessions, {
      messages: [user("é\u{10}\ud800")],
      seed,
      maxTokens,
    });
    for (let turn = 0; turn < 3; turn++) {
      const { id, open } = await it.sessions.importState(chunked(await fileOf(it, stateId)));
      const messages = open ? [] : [user("more")];
      ({ stateId } = await run(it.sessions, { messages, stateId: id, seed, maxTokens }));
    }
  }
});

/** States: their files, what is in these behind the checksums, and rows of a store. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../../src/core/errors.ts";
import { appendEntries, encodeSnapshot } from "../../../../src/session/stored_turn.ts";
import { checkHistory, checkSnapshot } from "../../../../src/session/check_snapshot.ts";
import { ApiKeys } from "../../../../src/store/keys/api_keys.ts";
import { MemoryBackend } from "../../../../src/store/backends/memory.ts";
import { RateRows } from "../../../../src/store/usage/rate_rows.ts";
import { randomBytes } from "../../../../src/store/states/state_id.ts";
import {
  decodeState,
  encodeState,
  readStateHeader,
} from "../../../../src/store/states/state_codec.ts";
import { decodeStateFile } from "../../../../src/store/states/state_file.ts";
import { StateStore } from "../../../../src/store/states/state_store.ts";
import { GOLDEN } from "../../../support/golden_data.ts";
import { harness, MODEL, run, user } from "../../../session/fixtures.ts";
import { chunked, concat, partsOf, replace } from "../../../store/states/state_file_fixtures.ts";
import type { Target } from "../target.ts";

const KIB = 1024;

export async function stateTargets(): Promise<Target[]> {
  const files = await stateFiles();
  return [
    fileTarget(files),
    importTarget(files),
    await codecTarget(),
    recordTarget(files),
    await historyTarget(),
    await rowsTarget(),
  ];
}

/** Files of the toy model: whole and open turns, with and without what came before. */
async function stateFiles(): Promise<Uint8Array<ArrayBuffer>[]> {
  const it = harness();
  const fileOf = async (id: string) => concat((await it.sessions.exportState(id)).parts);
  const first = await run(it.sessions, { messages: [user("tell")], seed: 5n, maxTokens: 40 });
  const instructions = "Be short.";
  const second = await run(it.sessions, {
    messages: [user("more")],
    stateId: first.stateId,
    seed: 6n,
    maxTokens: 3,
    instructions,
  });
  return [
    await Deno.readFile(`${GOLDEN}state-file/v1.rwkvstate`),
    await fileOf(first.stateId),
    await fileOf(second.stateId),
  ];
}

/** Checksums cover every byte: what is taken is one of the files that were written. */
function fileTarget(corpus: Uint8Array<ArrayBuffer>[]): Target {
  const known = new Set(corpus.map((file) => file.toHex()));
  return {
    name: "state-file",
    corpus,
    words: [
      "RWKVSTAT",
      "null",
      "true",
      '"bytes"',
      '"sha256"',
      '"state"',
      '"model"',
      "0".repeat(64),
    ],
    most: 64 * KIB,
    allocates: (size) => 8 * size + 64 * KIB,
    read: async (bytes) => {
      await decodeStateFile(chunked(bytes, 100));
      assert.ok(known.has(bytes.toHex()), "a damaged file was taken");
      return "taken";
    },
  };
}

/** The parts of a file, each with its length before it, as files are made of with right checksums. */
function importTarget(files: readonly Uint8Array<ArrayBuffer>[]): Target {
  return {
    name: "state-import",
    corpus: files.map((file) => {
      const { turn, history, state } = partsOf(file);
      return concat([turn, history, state].flatMap((part) => [lengthOf(part), part]));
    }),
    words: RECORD_WORDS,
    most: 64 * KIB,
    allocates: (size) => 32 * size + 256 * KIB,
    read: async (bytes) => {
      const { turn, history, state } = cutInto(bytes);
      const file = await replace(files[files.length - 1], { turn, history, state });
      const it = harness();
      const { id, open } = await it.sessions.importState(chunked(file, 1000));
      const out = concat((await it.sessions.exportState(id)).parts);
      const again = await harness().sessions.importState(chunked(out));
      const { transcript } = await it.sessions.describe(id);
      assert.deepEqual(again.transcript, transcript);
      // It can be gone on with.
      await run(it.sessions, { messages: open ? [] : [user("on")], stateId: id, maxTokens: 2 });
      return "taken";
    },
  };
}

function lengthOf(part: Uint8Array): Uint8Array {
  return new Uint8Array(Uint16Array.of(part.length).buffer);
}

function cutInto(bytes: Uint8Array) {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; i < 3; i++) {
    const told = at + 2 <= bytes.length ? bytes[at] + 256 * bytes[at + 1] : 0;
    parts.push(bytes.slice(Math.min(at + 2, bytes.length), at + 2 + told));
    at += 2 + told;
  }
  const [turn, history, state] = parts;
  return { turn, history, state };
}

async function codecTarget(): Promise<Target> {
  const shape = { layers: 2, width: 8, headSize: 4 };
  const numbers = Float32Array.from({ length: 96 }, (_, i) => Math.sin(i) * i);
  const golden = ["f16", "f32", "q8", "version1"].map((name) => `${GOLDEN}states/${name}.bin`);
  return {
    name: "state",
    corpus: [
      ...(["f32", "f16", "q8"] as const).map((codec) => encodeState(numbers, { codec, shape })),
      ...await Promise.all(golden.map((path) => Deno.readFile(path))),
    ],
    words: ["RWKS"],
    most: 64 * KIB,
    allocates: (size) => 16 * size + 4 * KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      const { shape, codec, numbers } = readStateHeader(bytes);
      const state = decodeState(bytes);
      assert.equal(state.length, numbers);
      if (shape === null) return "taken";
      // 8-bit codes are kept by another round only where a worker chose them.
      const kept = decodeState(
        encodeState(state, { codec: codec === "q8" ? "f32" : codec, shape }),
      );
      assert.ok(kept.every((value, i) => Object.is(value, state[i])), "another round differs");
      return "taken";
    },
  };
}

const RECORD_WORDS = [
  ...["pending", "absorbed", "position", "seed", "counts", "held", "earlier", "transcript"],
  ...[
    "plain",
    "instructions",
    "version",
    "role",
    "content",
    "system",
    "assistant",
    "hash",
    "count",
  ],
  ...["null", "true", "[]", "{}", '"', "\\ud800", "-1", "18446744073709551616", "__proto__"],
];

function recordTarget(files: readonly Uint8Array<ArrayBuffer>[]): Target {
  return {
    name: "record",
    corpus: files.map((file) => partsOf(file).turn),
    words: RECORD_WORDS,
    most: 64 * KIB,
    allocates: (size) => 4 * size + 16 * KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      let outcome: "taken" | "refused" = "refused";
      for (const open of [true, false]) {
        for (const fresh of [true, false]) {
          const context = { vocabulary: MODEL.vocabulary, open, isInitialState: fresh };
          const record = attempt(() => checkSnapshot(bytes, context));
          if (record === null) continue;
          outcome = "taken";
          assert.deepEqual(checkSnapshot(encodeSnapshot(record), context), record);
        }
      }
      return outcome;
    },
  };
}

async function historyTarget(): Promise<Target> {
  const entries = [
    { role: "system" as const, content: "Be kind." },
    { role: "user" as const, content: "größe 🎈 \n" },
    { role: "assistant" as const, content: "" },
  ];
  return {
    name: "history",
    corpus: [(await appendEntries(null, entries))!, (await appendEntries(null, entries.slice(1)))!],
    words: RECORD_WORDS,
    most: 64 * KIB,
    allocates: (size) => 4 * size + 16 * KIB,
    read: async (bytes) => {
      let outcome: "taken" | "refused" = "refused";
      for (let count = 0; count < 6; count++) {
        const taken = await checkHistory(bytes, count).catch(refused);
        if (taken === null) continue;
        outcome = "taken";
        assert.deepEqual(await checkHistory(await appendEntries(null, taken), count), taken);
      }
      return outcome;
    },
  };
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof InferenceError) return null;
    throw error;
  }
}

function refused(error: unknown): null {
  if (error instanceof InferenceError) return null;
  throw error;
}

/** Rows of a store that another worker has written, or that a disk has damaged. */
async function rowsTarget(): Promise<Target> {
  const backend = new MemoryBackend();
  const store = new StateStore(backend);
  const it = harness({ backend });
  const { stateId } = await run(it.sessions, { messages: [user("hi")], seed: 1n, maxTokens: 4 });
  const conversation = await store.conversations.create({ head: stateId, metadata: { a: "b" } });
  const request = { key: "k", route: "r", body: "b" };
  const claim = await store.idempotencyRecords.claim(request);
  assert.ok("complete" in claim);
  await claim.complete(new TextEncoder().encode("an answer"));
  const rows: { key: readonly (string | number)[]; value: Uint8Array }[] = [];
  for (const area of ["state", "conversation", "idempotency"]) {
    for await (const { key, value } of backend.list(["default", area])) rows.push({ key, value });
  }
  const keys = new ApiKeys({ backend, now: Date.now, random: randomBytes });
  const { record } = await keys.create("default", { limits: { states: 9, bytes: 1e9 } });
  const ratesOf = (worker: string) => new RateRows({ backend, worker, now: Date.now });
  await ratesOf("teller").publish("default", {
    requests: new Map([[1_700_000_000, 1]]),
    tokens: new Map([[1_700_000_000, 20], [1_700_000_001, 4]]),
  });
  for (const area of ["key", "rate"]) {
    for await (const { key, value } of backend.list(["~", area])) rows.push({ key, value });
  }
  const readers = [
    () => store.load(stateId),
    () => it.sessions.describe(stateId),
    () => store.conversations.get(conversation.id),
    () => it.sessions.conversations.transcript(conversation.id, {}),
    () => store.idempotencyRecords.claim(request),
    () => keys.find(record.hash),
    () => ratesOf("reader").others("default"),
  ];
  return {
    name: "rows",
    corpus: rows.map(({ value }) => value),
    words: [
      ...["version", "created", "expires", "ttl", "open", "state", "turn", "history", "note", "id"],
      ...["tenant", "limits", "states", "at", "requests", "tokens"],
      ...["bytes", "sha256", "parent", "head", "metadata", "answer", "owner", "body", "prefix"],
      ...["null", "true", "[]", "{}", "-1", "-1e300", "8640000000000001", "1e15", "__proto__"],
    ],
    most: 64 * KIB,
    allocates: (size) => 16 * size + 256 * KIB,
    read: async (bytes) => {
      let outcome: "taken" | "refused" = "refused";
      for (const { key, value } of rows) {
        await backend.atomic([], [{ type: "set", key: [...key], value: bytes, expireIn: 1e9 }]);
        let refused = 0;
        for (const reader of readers) {
          try {
            await reader();
          } catch (error) {
            if (!(error instanceof InferenceError)) throw error;
            refused++;
          }
        }
        // A row is taken where it stands only: elsewhere others read it. Those of keys and rates are
        // never refused: one that is wrong tells nothing.
        if (refused === 0 && key[0] !== "~") outcome = "taken";
        await backend.atomic([], [{ type: "set", key: [...key], value, expireIn: 1e9 }]);
      }
      return outcome;
    },
  };
}

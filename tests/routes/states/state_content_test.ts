/** Export and import of states over HTTP. */

import assert from "node:assert/strict";
import type { Hono } from "hono";
import { encodeSnapshot } from "../../../src/session/stored_turn.ts";
import { encodeState } from "../../../src/store/states/state_codec.ts";
import { encodeStateFile } from "../../../src/store/states/state_file.ts";
import { GOLDEN } from "../../support/golden_data.ts";
import { seeded } from "../../support/random_data.ts";
import { caseCount, slowTest } from "../../support/quick.ts";
import { ids, MODEL } from "../../session/fixtures.ts";
import { concat, partsOf, replace, reseal } from "../../store/states/state_file_fixtures.ts";
import { errorOf, HI, post, testApp } from "../fixtures.ts";

const GOLDEN_FILE = await Deno.readFile(`${GOLDEN}state-file/v1.rwkvstate`);

function upload(app: Hono, body: BodyInit | null, headers = {}): Response | Promise<Response> {
  return app.request("/v1/states", { method: "POST", body, headers });
}

async function content(app: Hono, id: string) {
  const response = await app.request(`/v1/states/${id}/content`);
  assert.equal(response.status, 200);
  return await response.bytes();
}

Deno.test("a state is exported, imported elsewhere, retrieved and resumed", async () => {
  const here = testApp({ script: [...ids(" Hello", 0), ...ids(" again", 0)] });
  const { state_id } = await (await post(here.app, HI)).json();
  const response = await here.app.request(`/v1/states/${state_id}/content`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  assert.match(
    response.headers.get("content-disposition")!,
    /^attachment; filename="state_[0-9a-f]{12}\.rwkvstate"$/,
  );
  const file = await response.bytes();
  assert.equal(response.headers.get("content-length"), String(file.length));

  const there = testApp({ script: [...ids(" Hello", 0), ...ids(" again", 0)] });
  const created = await upload(there.app, file);
  assert.equal(created.status, 201);
  const state = await created.json();
  assert.equal(created.headers.get("location"), `/v1/states/${state.id}`);
  assert.notEqual(state.id, state_id);
  assert.deepEqual(state, await (await there.app.request(`/v1/states/${state.id}`)).json());
  const { id: _, ...same } = await (await here.app.request(`/v1/states/${state_id}`)).json();
  assert.deepEqual({ ...state, expires_at: 0 }, { ...same, id: state.id, expires_at: 0 });
  assert.deepEqual(partsOf(await content(there.app, state.id)), partsOf(file));
  const more = { state_id: state.id, messages: HI.messages };
  assert.equal((await (await post(there.app, more)).json()).choices[0].message.content, "again");
});

Deno.test("failed exports and imports name the field", async () => {
  const { app } = testApp();
  await errorOf(app.request(`/v1/states/state_${"0".repeat(48)}/content`), 404, "state_not_found");
  await errorOf(app.request("/v1/states/x/content"), 404, "state_not_found");
  await errorOf(upload(app, null), 400, "invalid_state_file");
  await errorOf(upload(app, JSON.stringify(HI)), 400, "invalid_state_file");
  const foreign = await reseal(GOLDEN_FILE, ({ model }) => void (model.fingerprint = "other"));
  const mismatch = await upload(app, foreign);
  assert.equal(mismatch.headers.get("x-should-retry"), "false");
  await errorOf(mismatch, 409, "model_mismatch");
  const turn = JSON.parse(new TextDecoder().decode(partsOf(GOLDEN_FILE).turn));
  turn.pending = [9999];
  const wrong = await replace(GOLDEN_FILE, {
    turn: new TextEncoder().encode(JSON.stringify(turn)),
  });
  const { param, message } = await errorOf(upload(app, wrong), 400, "invalid_state_file");
  assert.equal(param, "turn.pending[0]");
  assert.match(message, /is 9999, and must be a token id, a whole number from 0 to 271/);
  for (
    const [path, method, allow] of [
      ["/v1/states", "GET", "POST"],
      [`/v1/states/x/content`, "PUT", "GET"],
    ]
  ) {
    const response = await app.request(path, { method });
    assert.equal(response.headers.get("allow"), allow);
    await errorOf(response, 405, "method_not_allowed");
  }
});

Deno.test("the size limit applies regardless of content-length", async () => {
  const { app } = testApp({ maxBodyBytes: 10 });
  assert.equal((await upload(app, GOLDEN_FILE)).status, 201);
  assert.equal((await upload(app, GOLDEN_FILE, { "content-length": "5" })).status, 201);
  const limit = 48 + 16_384 + (8 + 64) * 1024 ** 2 + 3 * 4 + 1024;
  const { message } = await errorOf(
    upload(app, GOLDEN_FILE, { "content-length": String(limit + 1) }),
    413,
    "payload_too_large",
  );
  assert.match(message, new RegExp(`has ${limit + 1} bytes, the limit is ${limit}`));
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      controller.enqueue(sent === 0 ? GOLDEN_FILE : new Uint8Array(65_536));
      sent++;
    },
  });
  await errorOf(upload(app, endless), 400, "invalid_state_file");
  assert.ok(sent < 10, `${sent} chunks`);
  const large = await reseal(GOLDEN_FILE, ({ turn }) => void (turn.bytes = 8 * 1024 ** 2 + 1));
  await errorOf(upload(app, large), 413, "payload_too_large");
});

Deno.test("an aborted upload is not an internal error", async () => {
  const { app, logged, backend } = testApp();
  const broken = new ReadableStream({
    pull(controller) {
      controller.enqueue(GOLDEN_FILE.subarray(0, 400));
      controller.error(new TypeError("the connection is closed"));
    },
  });
  await errorOf(upload(app, broken), 499, "cancelled");
  assert.deepEqual(logged, []);
  for await (const _ of backend.list(["default"])) assert.fail("nothing is stored");
});

slowTest("a state of 40 MB is exported and imported over a real connection", async () => {
  const shape = { layers: 10, width: 100_000, headSize: 8 };
  const stateLength = 10_000_000;
  const { app } = testApp({ model: { ...MODEL, shape }, script: ids(" Hello", 0) });
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    app.fetch,
  );
  const url = `http://127.0.0.1:${server.addr.port}/v1`;
  const numbers = Float32Array.from({ length: stateLength }, (_, i) => i % 1009);
  const parts = await encodeStateFile({
    model: MODEL,
    created: 0,
    open: false,
    history: null,
    state: encodeState(numbers, { codec: "f32", shape }),
    turn: encodeSnapshot({
      pending: [1],
      processedTokens: 4,
      position: 0,
      seed: 0n,
      counts: new Map(),
      undisplayedBytes: new Uint8Array(),
      earlier: null,
      transcript: [{ role: "assistant", content: "" }],
    }),
  });
  const file = concat(parts);
  for (const body of [file, new Blob([file]).stream()]) {
    const response = await fetch(`${url}/states`, { method: "POST", body });
    const { id } = await response.json();
    assert.equal(response.status, 201);
    const download = await fetch(`${url}/states/${id}/content`);
    assert.equal(download.headers.get("content-length"), String(file.length));
    const { turn, state } = partsOf(await download.bytes());
    assert.equal(turn.length, parts[1].length);
    assert.ok(state.every((byte, i) => byte === parts[2][i]));
    const body2 = JSON.stringify({ ...HI, state_id: id });
    assert.equal(
      (await fetch(`${url}/chat/completions`, { method: "POST", body: body2 })).status,
      200,
    );
    // Rejected early, and the client can still read the error.
    file[100] ^= 1;
    const rejected = await fetch(`${url}/states`, { method: "POST", body: file });
    await errorOf(rejected, 400, "invalid_state_file");
    file[100] ^= 1;
  }
});

/** Values of fields in malicious files. */
const HOSTILE = [
  null,
  true,
  0,
  -0,
  -1,
  1,
  0.5,
  271,
  272,
  65_536,
  2 ** 24,
  2 ** 31,
  2 ** 32,
  2 ** 52,
  2 ** 53,
  1e300,
  "",
  "0",
  "a",
  "0a0a",
  "c3",
  "ffffffff",
  "\n\n",
  "\ud800",
  "-1",
  "18446744073709551615",
  "1e3",
  "assistant",
  "user",
  "constructor",
  "x".repeat(5000),
  [],
  [[]],
  [0],
  [1, 1],
  [[1, 1]],
  [[1, 1e300]],
  [null],
  {},
  { role: "assistant", content: "" },
  { length: 5 },
  { version: 1 },
];

interface Fuzz {
  below: (n: number) => number;
}

/** Replaces, removes or adds a random value in JSON, in place. */
function mutateJson(root: unknown, { below }: Fuzz): unknown {
  const spots: { inside: Record<string, unknown>; key: string }[] = [];
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      spots.push({ inside: value as Record<string, unknown>, key });
      visit((value as Record<string, unknown>)[key]);
    }
  };
  visit(root);
  if (spots.length === 0) return HOSTILE[below(HOSTILE.length)];
  const { inside, key } = spots[below(spots.length)];
  const value = structuredClone(HOSTILE[below(HOSTILE.length)]);
  const kind = below(8);
  if (kind === 0) delete inside[key];
  else if (kind === 1) inside[["extra", "__proto__", "toString", "0", "9"][below(5)]] = value;
  else if (kind === 2 && Array.isArray(inside)) inside.push(value, ...inside.slice(0, 3));
  else inside[key] = value;
  return root;
}

/** Changes random bytes, or truncates, repeats or moves some. */
function mutateBytes(bytes: Uint8Array, { below }: Fuzz): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  const [from, to] = [below(bytes.length + 1), below(bytes.length + 1)].sort((a, b) => a - b);
  switch (below(5)) {
    case 0:
      return copy.slice(0, from);
    case 1:
      return concat([copy.subarray(0, from), copy.subarray(to)]);
    case 2:
      return concat([copy.subarray(0, to), copy.subarray(from)]);
    case 3:
      copy.copyWithin(below(bytes.length), from, to);
      return copy;
    default:
      for (let i = 0; i <= below(4); i++) copy[below(bytes.length)] = below(256);
      return copy;
  }
}

/** Returns a corrupted file, with or without valid checksums. */
async function mutate(file: Uint8Array, fuzz: Fuzz): Promise<Uint8Array<ArrayBuffer>> {
  const { below } = fuzz;
  const { turn, history, state } = partsOf(file);
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  switch (below(7)) {
    case 0:
      return mutateBytes(file, fuzz);
    case 1:
      return await reseal(file, (header) => JSON.stringify(mutateJson(header, fuzz)));
    case 2:
      return await replace(file, { turn: mutateBytes(turn, fuzz) });
    case 3:
      return await replace(file, { state: mutateBytes(state, fuzz) });
    case 4:
      return await replace(file, { history: mutateBytes(history, fuzz) });
    default: {
      let value = JSON.parse(new TextDecoder().decode(turn));
      for (let i = 0; i <= below(2); i++) value = mutateJson(value, fuzz);
      return await replace(file, { turn: json(value) });
    }
  }
}

Deno.test("thousands of corrupted and malicious files cause no internal error, and accepted ones can be resumed", async () => {
  const counts = { taken: 0, rejected: 0 };
  const closed = await reseal(GOLDEN_FILE, (header) => void (header.open = false));
  const files = caseCount(6000, 600);
  // Rejected files leave nothing and share one app; an accepted one is followed by a new app.
  let it = testApp();
  for (let seed = 0; seed < files; seed++) {
    const random = seeded(seed);
    const below = (n: number) => Math.floor(random() * n);
    const { app, backend, logged } = it;
    const file = await mutate(below(2) ? GOLDEN_FILE : closed, { below });
    const response = await upload(app, file);
    const body = await response.json();
    const what = `seed ${seed}: ${JSON.stringify(body).slice(0, 300)}`;
    assert.ok([201, 400, 409, 413].includes(response.status), what);
    if (response.status !== 201) {
      assert.ok(body.error.message.length < 500, what);
      for await (const _ of backend.list(["default"])) assert.fail(what);
      counts.rejected++;
      continue;
    }
    counts.taken++;
    it = testApp();
    const messages = body.open ? [] : HI.messages;
    const turn = { state_id: body.id, messages, max_tokens: 5, frequency_penalty: 1, stop: ["xx"] };
    const resumed = await post(app, turn);
    assert.equal(resumed.status, 200, `${what} ${await resumed.clone().text()}`);
    const { state_id } = await resumed.json();
    for (const id of [body.id, state_id]) {
      assert.equal((await app.request(`/v1/states/${id}`)).status, 200, what);
      assert.equal((await upload(app, await content(app, id))).status, 201, what);
    }
    assert.deepEqual(logged, []);
  }
  const enough = counts.taken > files / 20 && counts.rejected > files / 2;
  assert.ok(enough, JSON.stringify(counts));
});

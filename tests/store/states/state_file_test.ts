/** Encoding, decoding and validation of state files. */

import assert from "node:assert/strict";
import { type ErrorCode, InferenceError } from "../../../src/core/errors.ts";
import {
  decodeStateFile,
  encodeStateFile,
  FILE_LIMITS,
  type StateFile,
  type StateFileFacts,
} from "../../../src/store/states/state_file.ts";
import { GOLDEN } from "../../support/golden_data.ts";
import { chunked, concat, reseal } from "./state_file_fixtures.ts";
import { content } from "../fixtures.ts";

const FILE: StateFile = {
  model: { id: "demo", fingerprint: "sha256:aaaa", quant: "int8" },
  created: 1_800_000_000_000,
  open: true,
  turn: content(1).turn,
  history: content(1, { historyBytes: 5000 }).history,
  state: content(1, { length: 300_000 }).state,
};

const encode = async (file: StateFile) => concat(await encodeStateFile(file));
const decode = (bytes: Uint8Array, size = 65_536) => decodeStateFile(chunked(bytes, size));

function rejectsFile(
  bytes: Uint8Array,
  message: RegExp,
  { code = "invalid_state_file", param }: { code?: ErrorCode; param?: string } = {},
): Promise<void> {
  return assert.rejects(decode(bytes), (error) => {
    assert.ok(error instanceof InferenceError, String(error));
    assert.match(error.message, message);
    assert.deepEqual([error.code, error.param], [code, param]);
    return true;
  });
}

Deno.test("a file decodes to its content in chunks of any size", async () => {
  const plain = { id: "demo", fingerprint: "sha256:aaaa" };
  const files: StateFile[] = [
    FILE,
    { ...FILE, model: plain, open: false, created: 0 },
    { ...FILE, model: { ...plain, vocabularyHash: "0123456789ab" } },
    { ...FILE, state: null },
    { ...FILE, history: null },
    { ...FILE, turn: new Uint8Array(), history: null, state: new Uint8Array() },
    { ...FILE, model: { ...plain, id: "é".repeat(1000) } },
  ];
  for (const file of files) {
    const bytes = await encode(file);
    for (const size of [1, 7, 48, 65_536, 1_000_000]) {
      if (size === 1 && bytes.length > 10_000) continue;
      const { state, history, ...facts } = await decode(bytes, size);
      assert.deepEqual({ ...facts, history: 0, state: 0 }, { ...file, history: 0, state: 0 });
      assert.equal(history?.toHex() === file.history?.toHex(), true);
      assert.equal(state?.toHex() === file.state?.toHex(), true);
    }
  }
});

Deno.test("encoding does not copy the parts", async () => {
  const [, turn, history, state] = await encodeStateFile(FILE);
  assert.equal(turn, FILE.turn);
  assert.equal(history, FILE.history);
  assert.equal(state, FILE.state);
});

Deno.test("a file of version 1 decodes and encodes unchanged", async () => {
  const bytes = await Deno.readFile(`${GOLDEN}state-file/v1.rwkvstate`);
  const file = await decode(bytes);
  assert.deepEqual(file.model, { id: "toy", fingerprint: "sha256:70f", quant: "int8" });
  assert.deepEqual([file.created, file.open], [1_800_000_000_000, true]);
  assert.deepEqual(await encode(file), bytes);
  // Parse the file by the documented format, independently of the decoder.
  const view = new DataView(bytes.buffer);
  const header = JSON.parse(
    new TextDecoder().decode(bytes.subarray(48, 48 + view.getUint32(12, true))),
  );
  assert.equal(view.getUint16(8, true), 1);
  let end = 48 + view.getUint32(12, true);
  const next = (name: string) => bytes.subarray(end, end += header[name].bytes);
  const turn = next("turn");
  assert.deepEqual(file.turn, turn);
  assert.deepEqual(file.history, next("history"));
  assert.deepEqual(file.state, next("state"));
  assert.equal(end, bytes.length);
  assert.equal(JSON.parse(new TextDecoder().decode(turn)).transcript[1].content, "Hello wörld");
});

Deno.test("a file with a changed byte or truncated at any byte is rejected", async () => {
  const history = content(1, { historyBytes: 9 }).history;
  const bytes = await encode({ ...FILE, history, state: content(1, { length: 64 }).state });
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.slice();
    changed[at] ^= 1 << (at % 8);
    await rejectsFile(changed, /^Cannot read a state file: /);
    await rejectsFile(bytes.subarray(0, at), /^Cannot read a state file: /);
  }
});

Deno.test("each error names the problem", async () => {
  const bytes = await encode({ ...FILE, history: null });
  const patched = (at: number, ...values: number[]) => {
    const copy = bytes.slice();
    copy.set(values, at);
    return copy;
  };
  const header = bytes.length - FILE.turn.length - FILE.state!.length - 48;
  await rejectsFile(new Uint8Array(), /has 0 bytes/);
  await rejectsFile(bytes.subarray(0, 47), /has 47 bytes, fewer than the 48/);
  await rejectsFile(patched(0, 0x50, 0x4b), /does not begin with RWKVSTAT/);
  await rejectsFile(patched(8, 2), /version is 2 and this worker reads 1/);
  await rejectsFile(patched(11, 1), /bytes 10 and 11/);
  await rejectsFile(patched(14, 1), /header has 6\d{4} bytes; the maximum is 16384/);
  await rejectsFile(patched(60, 0), /checksum of its header differs/);
  await rejectsFile(bytes.subarray(0, 100), new RegExp(`ends in its header of ${header} bytes`));
  await rejectsFile(bytes.subarray(0, 48 + header + 3), /after 3 of the \d+ bytes of its turn/);
  await rejectsFile(bytes.subarray(0, -1), /after 299999 of the 300000 bytes of its state/);
  await rejectsFile(patched(48 + header, 0), /checksum of its turn differs/);
  await rejectsFile(patched(bytes.length - 1, 0), /checksum of its state differs/);
  await rejectsFile(concat([bytes, new Uint8Array(1)]), /has data after its last part/);
});

Deno.test("an invalid header field is named", async () => {
  const bytes = await encode(FILE);
  const cases: [field: string, value: unknown, message: RegExp, code?: ErrorCode][] = [
    ["model", null, /header\.model must be an object/],
    ["model.id", 5, /header\.model\.id must be a string/],
    ["model.id", "x".repeat(1025), /at most 1024 characters/],
    ["model.fingerprint", undefined, /header\.model\.fingerprint must be a string/],
    ["model.quant", null, /header\.model\.quant must be a string/],
    ["created", -1, /header\.created must be a whole number from 0/],
    ["created", 1e300, /header\.created/],
    ["created", "0", /header\.created/],
    ["open", 1, /header\.open must be true or false/],
    ["turn", null, /header\.turn must be an object/],
    ["turn.bytes", 1.5, /header\.turn\.bytes must be a whole number/],
    [
      "turn.bytes",
      8_388_609,
      /turn has 8388609 bytes; the maximum is 8388608/,
      "payload_too_large",
    ],
    ["turn.sha256", "A".repeat(64), /header\.turn\.sha256 must be 64 hexadecimal digits/],
    ["state", undefined, /header\.state must be an object/],
    ["state.bytes", 2 ** 30 + 1, /the maximum is 1073741824/, "payload_too_large"],
    ["state.sha256", [], /header\.state\.sha256/],
  ];
  for (const [field, value, message, code = "invalid_state_file"] of cases) {
    const changed = await reseal(bytes, (header) => {
      const path = field.split(".");
      const last = path.pop()!;
      path.reduce((inside, name) => inside[name], header)[last] = value;
    });
    await rejectsFile(changed, message, { code, param: `header.${field}` });
  }
  await rejectsFile(await reseal(bytes, () => "[1"), /its header is not JSON/);
  await rejectsFile(await reseal(bytes, () => "null"), /header must be an object/, {
    param: "header",
  });
  await rejectsFile(
    await reseal(bytes, (header) => header.state = null),
    /has data after its last part/,
  );
});

Deno.test("a declared size allocates no memory before the bytes arrive", async () => {
  const declared = FILE_LIMITS.stateBytes;
  const bytes = await reseal(await encode(FILE), (header) => header.state.bytes = declared);
  let allocated = 0;
  const before = Deno.memoryUsage();
  async function* measured() {
    yield bytes;
    const now = Deno.memoryUsage();
    allocated = now.external + now.heapUsed - before.external - before.heapUsed;
    await Promise.resolve();
  }
  await assert.rejects(decodeStateFile(measured()), /after 300000 of the 1073741824 bytes/);
  assert.ok(allocated < 50e6, `${allocated} bytes`);
});

Deno.test("a rejected header stops reading and closes the stream", async () => {
  const bytes = await encode(FILE);
  let sent = 0, closed = false;
  async function* slowly() {
    try {
      for await (const chunk of chunked(bytes, 1000)) {
        sent += chunk.length;
        yield chunk;
      }
    } finally {
      closed = true;
    }
  }
  let received: StateFileFacts | undefined;
  const accept = (facts: StateFileFacts) => {
    received = facts;
    throw new InferenceError("model_mismatch", "another");
  };
  await assert.rejects(decodeStateFile(slowly(), { accept }), /another/);
  assert.deepEqual(received, {
    model: FILE.model,
    created: FILE.created,
    open: true,
    historyBytes: 5000,
    turnBytes: FILE.turn.length,
    stateBytes: 300_000,
  });
  assert.equal(sent, 1000);
  assert.ok(closed);
});

Deno.test("an error of the stream is passed on", async () => {
  async function* broken() {
    yield new Uint8Array(10);
    await Promise.reject(new TypeError("the connection is closed"));
  }
  await assert.rejects(decodeStateFile(broken()), /^TypeError: the connection is closed$/);
});

import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { readPickle } from "../../src/formats/pickle.ts";
import { PickleGlobal } from "../../src/formats/pickle_value.ts";
import { PickleWriter } from "../../src/formats/pickle_writer.ts";
import { readTorchPickle } from "../../src/formats/torch_pickle.ts";
import { testRandom } from "./hostile.ts";

const read = (bytes: Uint8Array) =>
  readPickle(bytes, {
    name: "test.pkl",
    globals: new Map([["m f", new PickleGlobal("f", (args) => [...args])]]),
    persistent: (id) => id,
  });

/** A pickle in hexadecimal. */
const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));

function assertRejected(bytes: Uint8Array, message: RegExp): void {
  assert.throws(() => read(bytes), (error: unknown) => {
    assert(error instanceof InferenceError && error.code === "invalid_checkpoint", `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("pickles of Python are read", () => {
  // pickle.dumps([1, -2, 300, 70000, 2**40, -(2**40), 0.1, None, True, "é", b"\x00\xff"], 4)
  const list = hex(
    "80 04 95 37 00 00 00 00 00 00 00 5d 94 28 4b 01 4a fe ff ff ff 4d 2c 01 4a 70 11 01 00 " +
      "8a 06 00 00 00 00 00 01 8a 06 00 00 00 00 00 ff 47 3f b9 99 99 99 99 99 9a 4e 88 " +
      "8c 02 c3 a9 94 43 02 00 ff 94 65 2e",
  );
  assert.deepEqual(read(list), [
    1,
    -2,
    300,
    70000,
    2 ** 40,
    -(2 ** 40),
    0.1,
    null,
    true,
    "é",
    Uint8Array.of(0, 255),
  ]);
  // pickle.dumps({"a": (1, 2), "b": [(1, 2)]}, 2), with one tuple in both places
  const dict = hex(
    "80 02 7d 71 00 28 58 01 00 00 00 61 71 01 4b 01 4b 02 86 71 02 58 01 00 00 00 62 71 03 " +
      "5d 71 04 68 02 61 75 2e",
  );
  assert.deepEqual(read(dict), new Map([["a", [1, 2]], ["b", [[1, 2]]]]));
});

Deno.test("keys such as __proto__ are plain keys", () => {
  const bytes = new PickleWriter().op("}").text("__proto__").op("}").text("polluted").int(1)
    .op("s").op("s").op(".").bytes();
  const value = read(bytes);
  assert(value instanceof Map);
  assert.deepEqual([...value.keys()], ["__proto__"]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

Deno.test("damaged pickles are rejected", () => {
  const rejected: [string, RegExp][] = [
    ["", /unexpected end/],
    ["80 02", /unexpected end/],
    ["80 06 4e 2e", /protocol 6/],
    ["80 02 2e", /stack is empty/],
    ["80 02 65 2e", /no mark/],
    ["80 02 68 05 2e", /memo 5/],
    ["80 02 58 ff ff ff ff 61 2e", /unexpected end/],
    ["80 04 8d ff ff ff ff ff ff ff ff 61 2e", /unexpected end/],
    ["80 02 58 01 00 00 00 ff 2e", /not UTF-8/],
    ["80 02 8b 00 00 00 7f 2e", /integer/],
    ["80 02 7d 28 4b 01 75 2e", /without a value/],
    ["80 02 4b 01 4b 02 61 2e", /not a list/],
    ["80 02 4b 01 28 30 2e", /stack is empty/],
    ["80 02 4b 01 29 52 2e", /calls/],
    ["80 02 4b 01 7d 62 2e", /attributes/],
    ["80 04 4b 01 4b 02 93 2e", /not a string/],
    ["80 02 69 6f 73 0a 78 0a 2e", /opcode 0x69/], // INST
    ["80 02 82 01 2e", /opcode 0x82/], // EXT1
    ["80 02 29 29 81 2e", /not callable/], // NEWOBJ
    ["63 6d 0a", /unexpected end/],
  ];
  for (const [text, message] of rejected) assertRejected(hex(text), message);
});

Deno.test("time and memory are bounded", () => {
  assertRejected(new Uint8Array(17 * 2 ** 20), /maximum is 16777216/);
  assertRejected(new Uint8Array(2 ** 20).fill(0x5d), /1000000 opcodes/); // EMPTY_LIST
  assertRejected(new Uint8Array(2000).fill(0x28), /nested too deeply/); // MARK
  // Forty nested tuples with two references each: visiting all would take 2^40 steps.
  const laughs = new PickleWriter(4).op("]").memo();
  for (let i = 0; i < 40; i++) laughs.raw(0x68, i, 0x68, i, 0x86).memo();
  assert(Array.isArray(read(laughs.op(".").bytes())));
  // A list that contains itself.
  assert(
    Array.isArray(read(new PickleWriter(4).op("]").memo().raw(0x68, 0).op("a").op(".").bytes())),
  );
});

Deno.test("torch functions reject invalid arguments", () => {
  const call = (name: string, write: (pickle: PickleWriter) => void) => {
    const pickle = new PickleWriter().global("torch._utils", name).op("(");
    write(pickle);
    return () => readTorchPickle(pickle.op("t").op("R").op(".").bytes(), "test.pkl");
  };
  assert.throws(call("_rebuild_tensor_v2", (p) => p.int(1)), /invalid shape/);
  assert.throws(call("_rebuild_parameter", (p) => p.int(1)), /not a tensor/);
  const storage = (elements: (p: PickleWriter) => PickleWriter) => (p: PickleWriter) =>
    elements(p.op("(").text("storage").global("torch", "FloatStorage").text("0").text("cpu"))
      .op("t").op("Q").int(0).ints([1]).ints([1]);
  call("_rebuild_tensor_v2", storage((p) => p.int(1)))();
  assert.throws(call("_rebuild_tensor_v2", storage((p) => p.int(-1))), /not a storage/);
  assert.throws(call("_rebuild_tensor_v2", storage((p) => p.text("1"))), /not a storage/);
  assert.throws(
    call(
      "_rebuild_tensor_v2",
      (p) =>
        p.op("(").text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(1)
          .op("t").op("Q").int(0).ints(Array(65).fill(1)).ints(Array(65).fill(1)),
    ),
    /invalid shape/,
  );
});

Deno.test("random opcodes give an InferenceError or a value", () => {
  const random = testRandom(9);
  const common = [0x28, 0x29, 0x5d, 0x7d, 0x4b, 0x4e, 0x61, 0x65, 0x73, 0x75, 0x74, 0x85, 0x86];
  for (let round = 0; round < 20000; round++) {
    const bytes = Uint8Array.from(
      { length: 1 + random(40) },
      () => random(4) === 0 ? random(256) : common[random(common.length)],
    );
    bytes[bytes.length - 1] = 0x2e;
    try {
      readTorchPickle(bytes, "test.pkl");
    } catch (error) {
      assert(error instanceof InferenceError, `round ${round}: ${error}`);
    }
  }
});

Deno.test("repeated calls through references create a bounded number of tensors", () => {
  const repeated = (count: number) => {
    const pickle = new PickleWriter().global("torch._utils", "_rebuild_tensor_v2").memo().op("(");
    pickle.op("(").text("storage").global("torch", "FloatStorage").text("0").text("cpu").int(1);
    pickle.op("t").op("Q").int(0).ints([1]).ints([1]).op("t").memo();
    for (let i = 0; i < count; i++) pickle.raw(0x68, 0, 0x68, 1).op("R").op("0");
    return pickle.op(".").bytes();
  };
  assert.ok(Array.isArray(readTorchPickle(repeated(65_535), "test.pkl")));
  assert.throws(() => readTorchPickle(repeated(65_536), "test.pkl"), /more than 65535 tensors/);
});

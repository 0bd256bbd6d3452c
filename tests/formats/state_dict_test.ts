import assert from "node:assert/strict";
import { PickleWriter } from "../../src/formats/pickle_writer.ts";
import { pickleTensor } from "../../src/formats/torch_writer.ts";
import { assertRejected, open } from "./hostile.ts";
import { type PthTensor, writePth } from "./pth_fixture.ts";
import { writeZip } from "./zip_fixture.ts";

const tensors = new Map<string, PthTensor>([
  ["emb.weight", { dtype: "F32", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
  ["ln_out.bias", { dtype: "F32", shape: [2], data: Float32Array.of(5, 6) }],
]);

/** Adds a tensor that views the first storage or another one. */
const addTensor = (pickle: PickleWriter, key = "0", elements = 4) =>
  pickleTensor(pickle, {
    storage: { dtype: "F32", key, elements },
    offset: 0,
    shape: [elements],
    strides: [1],
  });

async function assertRead(file: Uint8Array): Promise<void> {
  const checkpoint = await open(file);
  assert.deepEqual([...checkpoint.tensors.keys()], [...tensors.keys()]);
  assert.deepEqual(await checkpoint.read("ln_out.bias"), Float32Array.of(5, 6));
}

/** Calls `module.name` with the values that `args` adds. */
const call = (pickle: PickleWriter, name: string, args: (pickle: PickleWriter) => void) => {
  const dot = name.lastIndexOf(".");
  pickle.global(name.slice(0, dot), name.slice(dot + 1)).op("(");
  args(pickle);
  return pickle.op("t").op("R");
};

Deno.test("a state dict is found at any key path up to the depth limit", async () => {
  const nests = [
    [],
    ["model_ema"],
    ["state_dict"],
    ["module"],
    ["model_state_dict"],
    ["state", "model"],
    ["a", "b", "c", "d"],
  ];
  for (const nest of nests) {
    for (const protocol of [2, 4] as const) {
      await assertRead(writePth(tensors, { nest, protocol }));
      await assertRead(writePth(tensors, { nest, protocol, ordered: true }));
    }
  }
  await assertRejected(
    writePth(tensors, { nest: [..."abcde"] }),
    /it contains no dict of tensors: save model\.state_dict\(\)/,
  );
});

Deno.test("optimizer tensors, counters and plain data next to a model are ignored", async () => {
  for (const protocol of [2, 4] as const) {
    const beside = (pickle: PickleWriter) => {
      pickle.text("optimizer").op("}").text("state").op("}").text("w.weight");
      addTensor(pickle);
      pickle.op("s").op("s").text("lr_schedulers").op("}").text("a.weight");
      addTensor(pickle);
      pickle.op("s").text("step");
      addTensor(pickle);
      pickle.text("epoch").int(3).text("loss").float(0.5);
      // argparse.Namespace(lr=0.5, dtype=torch.bfloat16), as copyreg writes it.
      pickle.text("args").global("argparse", "Namespace").op(")").raw(0x81).memo();
      pickle.op("}").text("lr").float(0.5).op("s").text("dtype").global("torch", "bfloat16");
      pickle.op("s").op("b");
      call(pickle.text("shape"), "torch.Size", (p) => p.ints([2, 3]));
      call(pickle.text("device"), "torch.device", (p) => p.text("cuda").int(0));
      call(pickle.text("path"), "pathlib.PosixPath", (p) => p.text("/").text("x"));
      call(pickle.text("groups"), "collections.defaultdict", (p) => p.global("builtins", "list"));
      pickle.text("a").op("]").op("s");
      call(pickle.text("names"), "builtins.set", (p) => p.op("]").text("x").op("a"));
      pickle.text("frozen").op("(").int(1).raw(0x91);
      pickle.text("set").raw(0x8f).op("(").int(1).raw(0x90);
      // numpy.float64(1), whose dtype has a state.
      call(pickle.text("score"), "numpy.core.multiarray.scalar", (p) => {
        call(p, "numpy.dtype", (p) => p.text("f8").raw(0x89).raw(0x88)).ints([3]).op("b");
        call(p, "_codecs.encode", (p) => p.text("1").text("latin1"));
      });
    };
    await assertRead(writePth(tensors, { nest: "model", beside, protocol }));
  }
});

Deno.test("globals that could run code are rejected next to a model too", async () => {
  for (const name of ["os.system", "builtins.eval", "builtins.getattr", "numpy.load", "a.Args"]) {
    const beside = (pickle: PickleWriter) =>
      call(pickle.text("args"), name, (p) => p.text("touch /tmp/x"));
    await assertRejected(
      writePth(tensors, { nest: "model", beside: (pickle) => void beside(pickle) }),
      new RegExp(
        `it references "${name.replace(".", "\\.")}", which is not part of a model's weights`,
      ),
    );
  }
});

Deno.test("several models are rejected with their keys, but one model under two keys is accepted", async () => {
  const other = (key: string, storage: string) => (pickle: PickleWriter) => {
    pickle.text("ema").op("}").text("shadow").op("}").text(key);
    addTensor(pickle, storage, storage === "0" ? 4 : 2);
    pickle.op("s").op("s");
  };
  const file = (beside: (pickle: PickleWriter) => void) =>
    writePth(tensors, { nest: "model", beside });
  await assertRejected(
    file(other("emb.weight", "1")),
    /2 dicts of tensors, checkpoint\["model"\] and checkpoint\["ema"\]\["shadow"\]: save one of them alone, as torch\.save\(checkpoint\["ema"\]\["shadow"\], "model\.pth"\)/,
  );
  // A dict without weights is not a model.
  await assertRead(file(other("decay", "1")));
  const one = new Map([["emb.weight", { ...tensors.get("emb.weight")!, shape: [4] }]]);
  const twice = await open(writePth(one, { nest: "model", beside: other("emb.weight", "0") }));
  assert.deepEqual([...twice.tensors.keys()], ["emb.weight"]);
});

Deno.test("strings and numbers next to the tensors become metadata", async () => {
  const scalars = { _strategy: "cpu fp32", _version: 0.7, __proto__x: "y" };
  const { metadata } = await open(writePth(tensors, { scalars, nest: "model" }));
  assert.deepEqual(metadata, { _strategy: "cpu fp32", _version: "0.7", __proto__x: "y" });
});

Deno.test("a dict that contains itself is visited once", async () => {
  const pickle = new PickleWriter().op("}").memo().text("self").raw(0x6a, 0, 0, 0, 0).op("s");
  await assertRejected(writePth(tensors, { pickle: pickle.op(".").bytes() }), /no dict of tensors/);
});

Deno.test("an intact archive without a state dict is not reported as damaged", async () => {
  const data = new Uint8Array(4);
  const assertProblem = async (file: Uint8Array, message: RegExp) => {
    await assertRejected(file, message);
    await assert.rejects(open(file), (error: Error) => !/damaged|incomplete/.test(error.message));
  };
  await assertProblem(
    writeZip([{ name: "a/model.pth", data }]),
    /contains a\/model\.pth: unpack it/,
  );
  await assertProblem(
    writeZip([{ name: "model.pth", data, stated: { method: 8 } }]),
    /whose entry model\.pth is compressed or encrypted.*unpack it/,
  );
  await assertProblem(
    writeZip([{ name: "notes.txt", data }]),
    /0 data\.pkl files.*written by torch\.save/,
  );
  const script = { name: "archive/constants.pkl", data };
  await assertProblem(
    writePth(tensors, { edit: (all) => [...all, script] }),
    /it is a TorchScript module.*torch\.jit\.load/,
  );
  const pickle = new PickleWriter().global("src.model", "RWKV").op(".").bytes();
  await assertProblem(
    writePth(tensors, { pickle }),
    /"src\.model\.RWKV".*model\.state_dict\(\) alone/,
  );
});

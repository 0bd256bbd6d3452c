/** Fuzzing targets for model files: pickles, torch archives, safetensors and converted models. */

import assert from "node:assert/strict";
import { MemorySink } from "../../../../src/formats/byte_sink.ts";
import { MemorySource } from "../../../../src/formats/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../../../../src/formats/checkpoint.ts";
import { PickleWriter } from "../../../../src/formats/pickle_writer.ts";
import { encodeSafetensors } from "../../../../src/formats/safetensors.ts";
import { DTYPE_BYTES } from "../../../../src/formats/tensor_layout.ts";
import { readTorchPickle } from "../../../../src/formats/torch_pickle.ts";
import { pickleTensor, writeTorchFile } from "../../../../src/formats/torch_writer.ts";
import { convertModel } from "../../../../src/model/convert.ts";
import { openModel } from "../../../../src/model/load.ts";
import { matrixNames } from "../../../../src/model/architectures/registry.ts";
import { huggingFaceNames, tinyModel } from "../../../engine/tiny_model.ts";
import { encodeFloats, writePth } from "../../../formats/pth_fixture.ts";
import type { Target } from "../target.ts";

const SIZES = { layers: 1, heads: 2, headSize: 4, ffnWidth: 11, vocabulary: 9 } as const;

const MODELS = [
  tinyModel({ ...SIZES, version: "5.2", dtype: "BF16" }),
  tinyModel({ ...SIZES, version: "5.1", dtype: "F16" }, 2),
  tinyModel({ ...SIZES, version: "5.0", dtype: "F32" }, 3),
];

const KIB = 1024;

const DTYPES = [...DTYPE_BYTES.keys(), "F4"];

const SHAPE_WORDS = ["[]", "[0]", "[1,1,1,1,1,1,1,1]", "[0,9007199254740991]", "[4294967296]"];

/** Files of a few tensors, so that most faults hit structure rather than tensor data. */
const FEW = new Map([...MODELS[0]].filter(([, { shape }]) => shape.length === 2).slice(0, 3));

export async function checkpointTargets(): Promise<Target[]> {
  return [pickleTarget(), await pthTarget(), safetensorsTarget(), await convertedTarget()];
}

function pickleTarget(): Target {
  const dicts = [2, 4].map((protocol) => {
    const pickle = new PickleWriter(protocol as 2 | 4).op("}").memo().op("(");
    for (const [i, dtype] of (["F32", "BF16"] as const).entries()) {
      pickleTensor(pickle.text(`t${i}`), {
        storage: { dtype, key: `${i}`, elements: 6 },
        offset: 0,
        shape: [2, 3],
        strides: [3, 1],
      });
    }
    return pickle.op("u").op(".").bytes();
  });
  return {
    name: "pickle",
    corpus: dicts,
    words: [
      ...[..."()]}.0NQRbesutjhq\x85\x86\x87\x88\x89\x93\x94"].map((code) => code.repeat(3)),
      ...["c__builtin__\neval\n", "cos\nsystem\n", "ctorch._utils\n_rebuild_tensor_v2\n"],
      ...["X\xff\xff\xff\xff", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "\x8a\xff", "j\0\0\0\0"],
    ],
    most: 64 * KIB,
    allocates: (size) => size + 64 * KIB,
    // deno-lint-ignore require-await
    read: async (bytes) => {
      readTorchPickle(bytes, "fuzzed");
      return "accepted";
    },
  };
}

async function pthTarget(): Promise<Target> {
  const zip64 = new MemorySink("made.pth");
  const tensors = [...FEW].map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, data }));
  await writeTorchFile(zip64, tensors, {
    bytesOf: ({ dtype, data }) => [encodeFloats(dtype, data)],
    zip64: true,
  });
  const [first] = FEW.keys();
  const view = { of: first, offset: 1, shape: [4, 3], strides: [1, 4] };
  return {
    name: "pth",
    corpus: [
      ...MODELS.map((model) => writePth(model)),
      writePth(huggingFaceNames(MODELS[0]), { nest: "state_dict", ordered: true, protocol: 4 }),
      writePth(FEW),
      writePth(FEW, { views: new Map([["view", view]]), ordered: true, prefix: "" }),
      zip64.bytes.slice(),
    ],
    words: [
      ...["PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07", "data.pkl"],
      ...[
        "archive/data/0",
        "archive/data.pkl",
        "byteorder",
        "big",
        "FloatStorage",
        "cos\nsystem\n",
      ],
      "\x85\x86\x87",
    ],
    most: 256 * KIB,
    allocates: checkpointBytes,
    read: readModelFile,
  };
}

function safetensorsTarget(): Target {
  const file = (model: typeof MODELS[number], metadata = {}) =>
    encodeSafetensors(
      new Map([...model].map(([name, { shape, data }]) => [name, { shape, data }])),
      {
        ...metadata,
      },
    );
  return {
    name: "safetensors",
    corpus: [...MODELS.map((model) => file(model)), file(FEW, { format: "pt" }), file(FEW)],
    words: [
      ...DTYPES.map((dtype) => `"${dtype}"`),
      ...SHAPE_WORDS,
      ...[
        "data_offsets",
        "__metadata__",
        "__proto__",
        "emb.weight",
        "head.weight",
        "shape",
        "dtype",
      ],
      ...["rwkv_edge_converted", "blocks.9999.ln1.weight", "blocks.0.att.time_maa_x"],
    ],
    most: 256 * KIB,
    allocates: checkpointBytes,
    read: readModelFile,
  };
}

async function convertedTarget(): Promise<Target> {
  const corpus: Uint8Array[] = [];
  for (const quant of ["nf4,head=int8", "int8", "f16"] as const) {
    const sink = new MemorySink("made.safetensors");
    const model = await openModel(new MemorySource("made.pth", writePth(MODELS[0])));
    await convertModel(model, sink, { quant });
    corpus.push(sink.bytes.slice());
  }
  return {
    name: "converted",
    corpus,
    words: [
      ...["none", "f16", "int8", "nf4", "held", "rows", "columns", "error", "group_norm_eps"],
      ...["head.weight.codes", "head.weight.scales", "head.weight", "source_digest", '\\"'],
      ...DTYPES.map((dtype) => `"${dtype}"`),
      ...SHAPE_WORDS,
    ],
    most: 256 * KIB,
    allocates: checkpointBytes,
    read: readModelFile,
  };
}

/** Tensors are read four times and widened to float32, and up to four of them may overlap. */
function checkpointBytes(size: number): number {
  return 64 * size + 4 * KIB * KIB;
}

/** Opens a file, reads every tensor through every method, and loads it as a model. */
async function readModelFile(bytes: Uint8Array): Promise<"accepted"> {
  const checkpoint = await openCheckpoint(new MemorySource("fuzzed", bytes));
  for (const name of checkpoint.tensors.keys()) await readTensor(checkpoint, name);
  const model = await openModel(new MemorySource("fuzzed", bytes));
  for (const name of matrixNames(model.dimensions)) {
    const matrix = model.matrix(name);
    if (matrix.packed) await matrix.readPacked(0, matrix.rows);
    else await matrix.readRows(0, matrix.rows);
  }
  for (const [name, values] of model.vectors) {
    assert.ok(values.length % model.dimensions.width === 0, `${name} has ${values.length} values`);
  }
  await model.close();
  return "accepted";
}

async function readTensor(checkpoint: Checkpoint, name: string): Promise<void> {
  const { dtype, shape, byteLength } = checkpoint.tensors.get(name)!;
  const raw = await checkpoint.readRaw(name, 0, byteLength);
  assert.equal(raw.length, byteLength);
  if (!["F32", "F16", "BF16"].includes(dtype)) return;
  const whole = await checkpoint.read(name);
  assert.equal(whole.length, shape.reduce((a, b) => a * b, 1));
  if (shape.length === 0) return;
  const half = shape[0] >> 1;
  const parts = [
    await checkpoint.readRows(name, 0, half),
    await checkpoint.readRows(name, half, shape[0] - half),
  ];
  let at = 0;
  for (const part of parts) {
    // All methods must return the same numbers.
    assert.ok(part.every((value, i) => value === whole[at + i]), `rows of ${name} differ`);
    at += part.length;
  }
  assert.equal(at, whole.length);
}

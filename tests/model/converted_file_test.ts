import assert from "node:assert/strict";
import { CpuEngine } from "../../src/engine/cpu/cpu_engine.ts";
import { MemorySink } from "../../src/formats/byte_sink.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { openCheckpoint } from "../../src/formats/checkpoint.ts";
import { SafetensorsWriter } from "../../src/formats/safetensors_writer.ts";
import { convertModel } from "../../src/model/convert.ts";
import { openModel } from "../../src/model/load.ts";
import { seeded } from "../support/random_data.ts";
import { tinyModel } from "../engine/tiny_model.ts";
import { writePth } from "../formats/pth_fixture.ts";

const tensors = tinyModel({
  version: "5.2",
  layers: 1,
  heads: 2,
  headSize: 8,
  ffnWidth: 41,
  vocabulary: 23,
  dtype: "BF16",
});

async function convertedFile(): Promise<Uint8Array<ArrayBuffer>> {
  const sink = new MemorySink("made.safetensors");
  const model = await openModel(new MemorySource("made.pth", writePth(tensors)));
  await convertModel(model, sink, { quant: "nf4,head=int8" });
  return sink.bytes.slice();
}

/** Opens a file and reads everything, like a command. */
async function load(file: Uint8Array): Promise<CpuEngine> {
  const model = await openModel(new MemorySource("bad.safetensors", file));
  const { quant } = model.converted!;
  return await CpuEngine.create(model, { quant, slots: 1, maxStepTokens: 4 });
}

interface Parts {
  metadata: Record<string, string>;
  tensors: Map<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }>;
}

/** Applies `change` to a converted file and encodes it as well-formed safetensors. */
async function changed(change: (parts: Parts) => void): Promise<Uint8Array> {
  const checkpoint = await openCheckpoint(new MemorySource("c", await convertedFile()));
  const parts: Parts = { metadata: { ...checkpoint.metadata }, tensors: new Map() };
  for (const [name, { dtype, shape, byteLength }] of checkpoint.tensors) {
    const bytes = Uint8Array.from(await checkpoint.readRaw(name, 0, byteLength));
    parts.tensors.set(name, { dtype, shape, bytes });
  }
  change(parts);
  const sink = new MemorySink("changed");
  const list = [...parts.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const writer = new SafetensorsWriter(sink, list, { reserve: parts.metadata });
  for (const [name, { bytes }] of parts.tensors) await writer.write(name, 0, bytes);
  await writer.finish(parts.metadata);
  return sink.bytes;
}

/** Changes the metadata of one matrix. */
function changeMetadata(parts: Parts, matrix: string, change: Record<string, unknown>): void {
  const matrices = JSON.parse(parts.metadata.matrices);
  matrices[matrix] = { ...matrices[matrix], ...change };
  parts.metadata.matrices = JSON.stringify(matrices);
}

function setScale(parts: Parts, index: number, value: number): void {
  const { bytes } = parts.tensors.get("head.weight.scales")!;
  new Float16Array(bytes.buffer)[index] = value;
}

const CASES: [what: string, change: (parts: Parts) => void, message: RegExp][] = [
  ["of a newer version", (p) => p.metadata.rwkv_edge_converted = "2", /version 2, but .* reads 1/],
  ["without a digest", (p) => delete p.metadata.source_digest, /conversion metadata is malformed/],
  [
    "with a short digest",
    (p) => p.metadata.source_digest = "ab",
    /conversion metadata is malformed/,
  ],
  [
    "with an epsilon of NaN",
    (p) => p.metadata.group_norm_eps = "x",
    /conversion metadata is malformed/,
  ],
  ["of an unknown policy", (p) => p.metadata.quant = "q5", /conversion metadata is malformed/],
  ["without JSON", (p) => p.metadata.matrices = "{", /conversion metadata is malformed/],
  [
    "with a type as a number",
    (p) => changeMetadata(p, "head.weight", { held: 8 }),
    /conversion metadata is malformed/,
  ],
  [
    "of an unknown format",
    (p) => changeMetadata(p, "head.weight", { held: "nf3" }),
    /head\.weight has .* type "nf3"/,
  ],
  [
    "of a format other than the tensor's",
    (p) => changeMetadata(p, "head.weight", { held: "nf4" }),
    /"head\.weight\.nf4" is missing, U8/,
  ],
  [
    "with too many rows",
    (p) => changeMetadata(p, "head.weight", { rows: 99 }),
    /"head\.weight\.int8" is I8 \[3,4,8,4\] instead of I8 \[13,4,8,4\]/,
  ],
  [
    "with padding as rows",
    (p) => changeMetadata(p, "head.weight", { rows: 24 }),
    /"head\.weight" has shape \[24,16\], but the other tensors require \[23,16\]/,
  ],
  [
    "with no rows",
    (p) => changeMetadata(p, "head.weight", { rows: 0 }),
    /conversion metadata is malformed/,
  ],
  ["without scales", (p) => p.tensors.delete("head.weight.scales"), /scales" is missing, F16/],
  [
    "with codes of another dtype",
    (p) => p.tensors.get("head.weight.int8")!.dtype = "U8",
    /int8" is U8 \[3,4,8,4\] instead of I8/,
  ],
  [
    "with a matrix twice",
    (p) => {
      const shape = [23, 16];
      p.tensors.set("head.weight", { dtype: "F16", shape, bytes: new Uint8Array(23 * 32) });
    },
    /contains head\.weight twice/,
  ],
  ["with a scale of NaN", (p) => setScale(p, 9, NaN), /head\.weight\.scales" .* row 9 .*infinite/],
  ["with an infinite scale", (p) => setScale(p, 0, -Infinity), /scale for row 0 that is infinite/],
];

for (const [what, change, message] of CASES) {
  Deno.test(`a converted file ${what} is rejected`, async () => {
    const file = await changed(change);
    await assert.rejects(load(file), { code: "invalid_checkpoint", message });
  });
}

Deno.test("an intact converted file is read", async () => {
  await load(await changed(() => {}));
});

Deno.test("a truncated converted file is rejected", async () => {
  const file = await convertedFile();
  const random = seeded(5);
  const lengths = Array.from({ length: 60 }, () => Math.floor(random() * file.length));
  for (const length of [...lengths, 0, 8, file.length - 1]) {
    await assert.rejects(load(file.slice(0, length)), { code: "invalid_checkpoint" }, `${length}`);
  }
});

Deno.test("flipped bits in the header are rejected or harmless", async () => {
  const file = await convertedFile();
  const head = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  const random = seeded(6);
  for (let round = 0; round < 300; round++) {
    const bad = file.slice();
    bad[Math.floor(random() * head)] ^= 1 << Math.floor(random() * 8);
    await load(bad).catch((error) => assert.equal(error.name, "InferenceError", error.stack));
  }
});

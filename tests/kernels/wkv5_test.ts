import assert from "node:assert/strict";
import { groupNormGate, groupNormGateReference } from "../../kernels/group_norm_gate.ts";
import { type RunRows } from "../../kernels/norm_shift.ts";
import { wkv5Chunk, wkv5Reference, wkv5Step } from "../../kernels/wkv5.ts";
import { assertClose } from "../support/close.ts";
import { QUICK } from "../support/quick.ts";
import { floats, seeded } from "../support/random_data.ts";
import { runKernel, runRows } from "./run_kernel.ts";

interface Case {
  heads: number;
  headSize: number;
  slots: number;
  runs: RunRows[];
}

const single = (slots: number[]): RunRows[] =>
  slots.map((slot, first) => ({ slot, first, count: 1 }));

const SINGLE: Case[] = [
  { heads: 1, headSize: 64, slots: 1, runs: single([0]) },
  { heads: 5, headSize: 32, slots: 4, runs: single([3, 0, 2]) },
  { heads: 3, headSize: 4, slots: 2, runs: single([1]) },
  { heads: 2, headSize: 12, slots: 3, runs: single([2, 1]) },
  { heads: 1, headSize: 128, slots: 1, runs: single([0]) },
];

const RAGGED: Case[] = [
  { heads: 2, headSize: 64, slots: 2, runs: [{ slot: 1, first: 0, count: 7 }] },
  {
    heads: 3,
    headSize: 8,
    slots: 5,
    runs: [
      { slot: 4, first: 0, count: 1 },
      { slot: 0, first: 1, count: 16 },
      { slot: 2, first: 17, count: 5 },
    ],
  },
  { heads: 1, headSize: 20, slots: 1, runs: [{ slot: 0, first: 0, count: 129 }] },
];

/** Head sizes of models, and one that is not a power of two. */
const QUICK_HEADS = [64, 8, 12];

const isLeftOut = ({ headSize }: Case) => QUICK && !QUICK_HEADS.includes(headSize);

function prepare({ heads, headSize, slots, runs }: Case) {
  const random = seeded(heads * 1000 + headSize);
  const tokens = runs.reduce((n, { count }) => n + count, 0);
  const width = heads * headSize;
  const data = {
    r: floats(random, tokens * width),
    k: floats(random, tokens * width),
    v: floats(random, tokens * width),
    w: floats(random, width, { low: 0.5, high: 0.999 }),
    u: floats(random, width),
    runs: runRows(runs),
    state: floats(random, slots * width * headSize),
    y: new Float32Array(tokens * width),
  };
  const counts = { tokens, runs: runs.length, outputs: 0, gathered: 0 };
  return { data, sizes: { heads, headSize }, counts };
}

for (const c of [...SINGLE, ...RAGGED]) {
  if (isLeftOut(c)) continue;
  Deno.test(`wkv5_chunk matches plain loops at ${JSON.stringify(c)}`, async () => {
    const { data, sizes, counts } = prepare(c);
    const actual = await runKernel(wkv5Chunk, data, { sizes, counts });
    const expected = { ...data, state: data.state.slice(), y: data.y.slice() };
    wkv5Reference(expected, { ...sizes, runs: c.runs });
    assertClose(actual.y, expected.y, { atol: 2e-5, what: "y" });
    assertClose(actual.state, expected.state, { atol: 2e-5, what: "state" });
  });
}

for (const gated of [true, false]) {
  for (const c of SINGLE) {
    if (isLeftOut(c)) continue;
    Deno.test(`wkv5_step, ${gated ? "gated" : "plain"}, is bit-identical to wkv5 and group norm at ${JSON.stringify(c)}`, async () => {
      const { data, sizes, counts } = prepare(c);
      const random = seeded(c.heads);
      const gate = floats(random, data.r.length);
      const norm = floats(random, 2 * data.w.length);
      const eps = 64e-5;
      const offset = (plane: number) => plane * (data.r.length + 8);
      const offsets = { r: offset(2), k: offset(0), v: offset(3), g: offset(1) };
      const projected = new Float32Array(offset(4));
      for (const name of ["r", "k", "v"] as const) projected.set(data[name], offsets[name]);
      projected.set(gate, offsets.g);
      const actual = await runKernel(wkv5Step, { ...data, projected, norm }, {
        sizes: { ...sizes, offsets, eps, gated },
        counts,
      });

      const expected = { ...data, state: data.state.slice(), y: data.y.slice() };
      wkv5Reference(expected, { ...sizes, runs: c.runs });
      const after = { y: expected.y, norm, ...(gated ? { gate } : {}) };
      groupNormGateReference(after, { ...sizes, eps, tokens: counts.tokens });
      // If a head's values are nearly equal, normalization amplifies the error of the sums.
      assertClose(actual.y, expected.y, { atol: 2e-4, what: "y" });
      assertClose(actual.state, expected.state, { atol: 2e-5, what: "state" });

      const chunk = await runKernel(wkv5Chunk, data, { sizes, counts });
      assert.deepEqual(actual.state, chunk.state);
      const y = chunk.y as Float32Array<ArrayBuffer>;
      const normed = await runKernel(groupNormGate, { y, norm, gate }, {
        sizes: { ...sizes, eps, gated },
        counts,
      });
      assert.deepEqual(actual.y, normed.y);
    });
  }
}

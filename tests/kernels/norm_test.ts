import { commitShift } from "../../kernels/commit_shift.ts";
import { embed, embedReference } from "../../kernels/embed.ts";
import { groupNormGate, groupNormGateReference } from "../../kernels/group_norm_gate.ts";
import type { WeightType } from "../../kernels/layouts.ts";
import { layerNormReference } from "../../kernels/layer_norm.ts";
import { normShift, normShiftReference } from "../../kernels/norm_shift.ts";
import { selectNorm } from "../../kernels/select_norm.ts";
import { assertClose } from "../support/close.ts";
import { floats, seeded } from "../support/random_data.ts";
import { packWeights } from "./packed.ts";
import { runKernel, runRows, tokenRows } from "./run_kernel.ts";

const RUNS = [
  { slot: 2, first: 0, count: 3 },
  { slot: 0, first: 3, count: 1 },
  { slot: 3, first: 4, count: 6 },
];

for (
  const { width, mixes } of [{ width: 4, mixes: 2 }, { width: 60, mixes: 3 }, {
    width: 260,
    mixes: 4,
  }]
) {
  Deno.test(`norm_shift matches plain loops at width ${width}, ${mixes} mixes`, async () => {
    const random = seeded(width);
    const slots = 4;
    const plane = 10 * width + 8;
    const shiftIn = floats(random, slots * width);
    const data = {
      x: floats(random, 10 * width, { low: -3, high: 5 }),
      norm: floats(random, 2 * width),
      mix: floats(random, mixes * width, { low: 0 }),
      rows: tokenRows(RUNS),
      shiftIn,
      shiftOut: new Float32Array(slots * width),
      out: new Float32Array(mixes * plane),
    };
    const sizes = { width, mixes, plane };
    const counts = { tokens: 10, runs: RUNS.length, outputs: 0, gathered: 0 };
    const actual = await runKernel(normShift, data, { sizes, counts });
    const expected = { ...data, shift: shiftIn.slice(), out: new Float32Array(mixes * plane) };
    normShiftReference(expected, { ...sizes, runs: RUNS });
    assertClose(actual.out, expected.out, { atol: 2e-5, what: "out" });
    for (const { slot } of RUNS) {
      const part = [slot * width, (slot + 1) * width] as const;
      assertClose(actual.shiftOut.subarray(...part), expected.shift.subarray(...part), {
        atol: 2e-5,
      });
    }
    assertClose(actual.shiftOut.subarray(width, 2 * width), new Float32Array(width), { atol: 0 });
  });
}

for (const type of ["f32", "f16", "int8", "nf4"] satisfies WeightType[]) {
  for (const { ids, width } of [{ ids: 1, width: 4 }, { ids: 13, width: 100 }]) {
    Deno.test(`embed matches plain loops for ${ids} ids of ${type} at width ${width}`, async () => {
      const random = seeded(ids);
      const { weights, values: table } = packWeights(
        floats(random, ids * width, { low: 0, high: 3 }),
        { rows: ids, columns: width, type },
      );
      const norm = floats(random, 2 * width);
      // Ids of this part start at 5; ids outside leave x unchanged.
      const firstId = 5;
      const tokens = [0, 5, 4 + ids, 5 + ids, 4, 5 + Math.floor(ids / 2)];
      const untouched = floats(random, tokens.length * width);
      const rows = tokenRows([{ slot: 0, first: 0, count: tokens.length }], tokens);
      const data = {
        weights,
        norm,
        rows,
        x: untouched,
      };
      const sizes = { firstId, ids, width, type };
      const counts = { tokens: tokens.length, runs: 1, outputs: 0, gathered: 0 };
      const { x } = await runKernel(embed, data, { sizes, counts });
      const expected = untouched.slice();
      tokens.forEach((id, t) => {
        if (id < firstId || id >= firstId + ids) return;
        const one = { table, norm, ids: [id - firstId], x: new Float32Array(width) };
        embedReference(one, width);
        expected.set(one.x, t * width);
      });
      assertClose(x, expected, { atol: 2e-5 });
    });
  }
}

for (
  const { heads, headSize, gated } of [
    { heads: 1, headSize: 4, gated: true },
    { heads: 3, headSize: 64, gated: true },
    { heads: 5, headSize: 12, gated: false },
  ]
) {
  Deno.test(`group_norm_gate matches plain loops at ${heads} x ${headSize}`, async () => {
    const random = seeded(headSize);
    const width = heads * headSize;
    const tokens = 3;
    const sizes = { heads, headSize, eps: 64e-5, gated };
    const data = {
      norm: floats(random, 2 * width),
      y: floats(random, tokens * width, { low: -4, high: 6 }),
      gate: floats(random, tokens * width),
    };
    const actual = await runKernel(groupNormGate, data, {
      sizes,
      counts: { tokens, runs: 1, outputs: 0, gathered: 0 },
    });
    const expected = { norm: data.norm, y: data.y.slice(), ...(gated ? { gate: data.gate } : {}) };
    groupNormGateReference(expected, { ...sizes, tokens });
    assertClose(actual.y, expected.y, { atol: 2e-5 });
  });
}

Deno.test("select_norm normalizes only the output rows", async () => {
  const random = seeded(7);
  const width = 36;
  const norm = floats(random, 2 * width);
  const x = floats(random, 9 * width, { low: -2, high: 8 });
  const outputRows = [8, 0, 3, 3];
  const data = { x, norm, outputRows: new Uint32Array(outputRows), y: new Float32Array(5 * width) };
  const counts = { tokens: 9, runs: 1, outputs: outputRows.length, gathered: 0 };
  const { y } = await runKernel(selectNorm, data, { sizes: { width }, counts });
  const expected = new Float32Array(5 * width);
  outputRows.forEach((row, o) => {
    expected.set(layerNormReference(x.subarray(row * width, (row + 1) * width), norm), o * width);
  });
  assertClose(y, expected, { atol: 2e-5 });
});

Deno.test("commit_shift copies only the slots of the step", async () => {
  const random = seeded(9);
  const width = 12;
  const sites = 3;
  const slots = 4;
  const siteStride = slots * width + 16;
  const shiftIn = floats(random, sites * siteStride);
  const shiftOut = floats(random, sites * siteStride);
  const actual = await runKernel(
    commitShift,
    { runs: runRows(RUNS), shiftOut, shiftIn },
    {
      sizes: { width, sites, siteStride },
      counts: { tokens: 10, runs: 3, outputs: 0, gathered: 0 },
    },
  );
  const expected = shiftIn.slice();
  for (let site = 0; site < sites; site++) {
    for (const { slot } of RUNS) {
      const from = site * siteStride + slot * width;
      expected.set(shiftOut.subarray(from, from + width), from);
    }
  }
  assertClose(actual.shiftIn, expected, { atol: 0 });
});

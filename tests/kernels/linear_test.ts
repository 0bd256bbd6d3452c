import assert from "node:assert/strict";
import type { WeightType } from "../../kernels/layouts.ts";
import {
  type Activation,
  linearReference,
  linearRows,
  type LinearSizes,
  matmul,
  type RowsTile,
  type WriteMode,
} from "../../kernels/linear.ts";
import { roundUp } from "../../kernels/spec.ts";
import { assertClose } from "../support/close.ts";
import { QUICK } from "../support/quick.ts";
import { floats, seeded } from "../support/random_data.ts";
import { packWeights } from "./packed.ts";
import { runKernel } from "./run_kernel.ts";

interface Case {
  rows: number;
  columns: number;
  tokens: number;
  type: WeightType;
  activation: Activation;
  write: WriteMode;
}

const CASES: Case[] = [
  { rows: 1, columns: 4, tokens: 1, type: "f32", activation: "none", write: "store" },
  { rows: 8, columns: 128, tokens: 3, type: "f32", activation: "silu", write: "store" },
  { rows: 67, columns: 132, tokens: 33, type: "f32", activation: "none", write: "add" },
  { rows: 131, columns: 1029, tokens: 5, type: "f16", activation: "relu2", write: "store" },
  { rows: 40, columns: 385, tokens: 65, type: "f16", activation: "sigmoid", write: "gatedAdd" },
  { rows: 33, columns: 2500, tokens: 9, type: "f32", activation: "none", write: "gatedAdd" },
  { rows: 45, columns: 131, tokens: 3, type: "int8", activation: "none", write: "store" },
  { rows: 9, columns: 7, tokens: 17, type: "int8", activation: "relu2", write: "gatedAdd" },
  { rows: 70, columns: 1100, tokens: 34, type: "nf4", activation: "silu", write: "store" },
  { rows: 5, columns: 37, tokens: 2, type: "nf4", activation: "none", write: "add" },
];

const TILES: RowsTile[] = [
  { rowBlocks: 1, tokens: 1, lanes: 1, threadBlocks: 1 },
  { rowBlocks: 4, tokens: 1, lanes: 1, threadBlocks: 2 },
  { rowBlocks: 8, tokens: 8, lanes: 1, threadBlocks: 1 },
  { rowBlocks: 1, tokens: 4, lanes: 3, threadBlocks: 2 },
  { rowBlocks: 2, tokens: 3, lanes: 4, threadBlocks: 1 },
];

function prepare({ rows, columns, tokens, type, activation, write }: Case) {
  const random = seeded(rows * 31 + columns);
  const scale = 1 / Math.sqrt(columns);
  const W = floats(random, rows * columns, { low: -scale, high: scale });
  const { weights, values } = packWeights(W, { rows, columns, type });
  const xStride = roundUp(columns, 4);
  const x = floats(random, tokens * columns, { low: -2, high: 2 });
  const padded = new Float32Array(tokens * xStride);
  for (let t = 0; t < tokens; t++) {
    padded.set(x.subarray(t * columns, (t + 1) * columns), t * xStride);
  }
  const rowOffset = 8;
  const outStride = roundUp(rows, 4) + rowOffset + 4;
  const y = floats(random, tokens * outStride);
  const gate = floats(random, tokens * outStride);
  const part = {
    rows,
    firstBlock: 0,
    xOffset: 0,
    yOffset: 0,
    rowOffset,
    outStride,
    activation,
  };
  const sizes: LinearSizes = {
    parts: [part],
    columns,
    type,
    bufferRows: rows,
    per: "tokens",
    write,
  };
  const data = {
    weights,
    x: padded,
    y,
    gate,
    counts: new Uint32Array([tokens, 1, 0, 0]),
  };
  return { part, sizes, data, W: values, x, counts: { tokens, runs: 1, outputs: 0, gathered: 0 } };
}

/** One case per weight type. */
const QUICK_CASES = [CASES[2], CASES[4], CASES[6], CASES[8]];

for (const c of QUICK ? QUICK_CASES : CASES) {
  Deno.test(`matrix kernels match plain loops, and each other bit for bit, at ${JSON.stringify(c)}`, async () => {
    const { part, sizes, data, W, x, counts } = prepare(c);
    const tiled = await runKernel(matmul, data, { sizes, counts });
    const expected = { W, x, y: data.y.slice(), gate: data.gate };
    linearReference(expected, { ...c, part });
    // Padding rows may be written, so compare only the matrix's own rows and those before.
    for (let t = 0; t < c.tokens; t++) {
      const from = t * part.outStride;
      const to = from + part.rowOffset + c.rows;
      assertClose(tiled.y.subarray(from, to), expected.y.subarray(from, to), { atol: 2e-5 });
    }
    for (const tile of TILES) {
      const rows = await runKernel(linearRows, data, { sizes: { ...sizes, tile }, counts });
      assert.deepEqual(rows.y, tiled.y, JSON.stringify(tile));
    }
  });
}

Deno.test("matrices in one buffer are multiplied in one dispatch, each with its own input", async () => {
  const [columns, tokens] = [70, 5];
  const random = seeded(7);
  const xPlane = roundUp(columns, 4) * tokens + 8;
  const x = floats(random, 3 * xPlane);
  const all = ([
    { rows: 35, activation: "none" },
    { rows: 8, activation: "silu" },
    { rows: 101, activation: "relu2" },
  ] as const).map(({ rows, activation }) => ({ rows, activation, outStride: roundUp(rows, 4) }));
  const bufferRows = all.reduce((sum, { rows }) => sum + roundUp(rows, 8), 0);
  const stacked = new Float32Array(bufferRows * columns);
  let [firstBlock, yOffset] = [0, 0];
  const parts = all.map((part, i) => {
    const W = floats(random, part.rows * columns);
    stacked.set(W, firstBlock * 8 * columns);
    const placed = { ...part, firstBlock, xOffset: i * xPlane, yOffset, rowOffset: 0 };
    firstBlock += roundUp(part.rows, 8) / 8;
    yOffset += tokens * part.outStride + 4;
    return placed;
  });
  for (const type of QUICK ? ["int8"] as const : ["f32", "int8", "nf4"] as const) {
    const { weights, values } = packWeights(stacked, { rows: bufferRows, columns, type });
    const y0 = floats(random, yOffset);
    const data = { weights, x, y: y0, counts: new Uint32Array([tokens, 1, 0, 0]) };
    const sizes: LinearSizes = { parts, columns, type, bufferRows, per: "tokens", write: "store" };
    const counts = { tokens, runs: 1, outputs: 0, gathered: 0 };
    const expected = data.y.slice();
    for (const part of parts) {
      const size = tokens * part.outStride;
      const rows = {
        W: values.subarray(part.firstBlock * 8 * columns),
        x: Float32Array.from(
          { length: tokens * columns },
          (_, i) => x[part.xOffset + Math.floor(i / columns) * roundUp(columns, 4) + i % columns],
        ),
        y: expected.subarray(part.yOffset, part.yOffset + size),
      };
      linearReference(rows, { part, columns, tokens, write: "store" });
    }
    const check = (y: Float32Array, what: string) => {
      for (const { yOffset, outStride, rows } of parts) {
        for (let t = 0; t < tokens; t++) {
          const from = yOffset + t * outStride;
          assertClose(y.subarray(from, from + rows), expected.subarray(from, from + rows), {
            atol: 2e-4,
            what,
          });
        }
      }
    };
    for (const tile of TILES) {
      const { y } = await runKernel(linearRows, data, { sizes: { ...sizes, tile }, counts });
      check(y, `${type} ${JSON.stringify(tile)}`);
    }
    let y = data.y;
    for (const part of parts) {
      const sizesOfOne = { ...sizes, parts: [part] };
      ({ y } = await runKernel(matmul, { ...data, y }, { sizes: sizesOfOne, counts }) as {
        y: Float32Array<ArrayBuffer>;
      });
    }
    check(y, `${type} matmul`);
  }
});

import assert from "node:assert/strict";
import { linearRows, linearShifted } from "../../kernels/linear.ts";
import { normShift } from "../../kernels/norm_shift.ts";
import { roundUp } from "../../kernels/spec.ts";
import { floats, seeded } from "../support/random_data.ts";
import { packWeights } from "./packed.ts";
import { runKernel, tokenRows } from "./run_kernel.ts";

const SLOTS = 3;
/** Runs of one token, out of order. */
const RUNS = [2, 0].map((slot, first) => ({ slot, first, count: 1 }));

for (const width of [4, 68, 260]) {
  for (
    const tile of [
      { rowBlocks: 4, tokens: 1, lanes: 1, threadBlocks: 2 },
      { rowBlocks: 1, tokens: 1, lanes: 3, threadBlocks: 5 },
    ]
  ) {
    Deno.test(`linear_shifted is bit-identical to norm_shift and linear_rows at width ${width}, ${JSON.stringify(tile)}`, async () => {
      const random = seeded(width);
      const tokens = RUNS.length;
      const plane = tokens * width;
      const shift = {
        x: floats(random, plane, { low: -3, high: 5 }),
        norm: floats(random, 2 * width),
        mix: floats(random, 2 * width, { low: 0 }),
        rows: tokenRows(RUNS),
        shiftIn: floats(random, SLOTS * width),
        shiftOut: new Float32Array(SLOTS * width),
      };
      const counts = { tokens, runs: tokens, outputs: 0, gathered: 0 };
      const mixed = await runKernel(normShift, { ...shift, out: new Float32Array(2 * plane) }, {
        sizes: { width, mixes: 2, plane },
        counts,
      });

      const rows = [roundUp(width + 9, 4), width];
      const bufferRows = rows.reduce((sum, n) => sum + roundUp(n, 8), 0);
      const yOffsets = [0, tokens * rows[0]];
      const part = (i: number, xOffset: number) => ({
        rows: rows[i],
        firstBlock: i * roundUp(rows[0], 8) / 8,
        xOffset,
        yOffset: yOffsets[i],
        rowOffset: 0,
        outStride: rows[i],
        activation: i === 0 ? "relu2" as const : "sigmoid" as const,
      });
      const { weights } = packWeights(floats(random, bufferRows * width), {
        rows: bufferRows,
        columns: width,
        type: "f16",
      });
      const sizes = {
        columns: width,
        type: "f16",
        bufferRows,
        tile,
        per: "tokens",
        write: "store",
      } as const;
      const y = new Float32Array(yOffsets[1] + tokens * rows[1]);
      const data = { weights, y, counts: new Uint32Array([tokens, tokens, 0, 0]) };
      const separate = await runKernel(
        linearRows,
        { ...data, x: mixed.out as Float32Array<ArrayBuffer> },
        { sizes: { ...sizes, parts: [part(0, 0), part(1, plane)] }, counts },
      );
      const fused = await runKernel(linearShifted, { ...data, ...shift }, {
        sizes: { ...sizes, parts: [part(0, 0), part(1, width)] },
        counts,
      });
      assert.ok(separate.y.some((v) => v !== 0));
      assert.deepEqual(fused.y, separate.y);
      assert.deepEqual(fused.shiftOut, mixed.shiftOut);
    });
  }
}

import assert from "node:assert/strict";
import { balanceTile, type LinearPart, type RowsTile } from "../../kernels/linear.ts";

const TILE: RowsTile = { rowBlocks: 16, tokens: 8, lanes: 1, threadBlocks: 1 };

function partsOf(...rows: number[]): LinearPart[] {
  return rows.map((rows) => ({
    rows,
    firstBlock: 0,
    xOffset: 0,
    yOffset: 0,
    rowOffset: 0,
    outStride: rows,
    activation: "none",
  }));
}

/** Returns the workgroups that the parts take and the padding rows that they compute. */
function cost(parts: readonly LinearPart[], { rowBlocks, threadBlocks }: RowsTile) {
  const height = 8 * rowBlocks * threadBlocks;
  const groups = parts.map(({ rows }) => Math.ceil(rows / height));
  return {
    groups: groups.reduce((sum, count) => sum + count, 0),
    wasted: parts.reduce((sum, { rows }, i) => sum + groups[i] * height - rows, 0),
  };
}

Deno.test("a balanced tile needs no more workgroups and wastes no more rows", () => {
  assert.equal(balanceTile(partsOf(192, 192, 192, 192), TILE).rowBlocks, 12);
  assert.equal(balanceTile(partsOf(672, 192), TILE).rowBlocks, 14);
  assert.equal(balanceTile(partsOf(768), TILE).rowBlocks, 16);
  assert.equal(balanceTile(partsOf(5), TILE).rowBlocks, 1);
  for (let rows = 1; rows < 700; rows += 13) {
    for (const threadBlocks of [1, 2, 4]) {
      const parts = partsOf(rows, 2 * rows + 1);
      const tile = { ...TILE, threadBlocks };
      const [fixed, even] = [cost(parts, tile), cost(parts, balanceTile(parts, tile))];
      assert.equal(even.groups, fixed.groups);
      assert.ok(even.wasted <= fixed.wasted);
    }
  }
});

/**
 * WGSL of `linear_rows`, for a tile of a given size.
 *
 * The text is unrolled here and not by loops in WGSL: sums must stay in registers, and compilers of
 * software adapters leave loops of more than 32 rounds as they are, with arrays in memory (five
 * times slower).
 */

/** What one thread does, and how threads make a workgroup. */
export interface RowsTile {
  /** Blocks of 8 rows, of each of which a thread owns a row. */
  rowBlocks: number;
  /** Tokens for which a weight is read once. */
  tokens: number;
  /** Threads that share a row, each with segments of its own; above 1 the sums meet in shared memory. */
  lanes: number;
  /** Groups of 8 threads side by side in a workgroup, each with `rowBlocks` blocks. */
  threadBlocks: number;
}

/**
 * Bindings and constants as in matmul.wgsl, and LANES; grid
 * `(ceil(rows / (8 * rowBlocks * threadBlocks)), ceil(tokens / tile.tokens), 1)`. The order of
 * additions is that of linear.ts.
 */
export function linearRowsSource({ rowBlocks, tokens, lanes, threadBlocks }: RowsTile): string {
  const rows = [...Array(rowBlocks).keys()];
  const cells = [...Array(tokens).keys()].flatMap((t) => rows.map((i) => ({ t, i })));
  const each = <T>(items: readonly T[], line: (item: T, index: number) => string) =>
    items.map(line).join("\n");
  const joined = (i: number, t: number) => {
    const sum = `sum${i}_${t}`;
    return `(${sum}.x + ${sum}.y) + (${sum}.z + ${sum}.w)`;
  };
  const shared = lanes > 1;
  const width = 8 * threadBlocks;
  const partial = (s: string, n: number) =>
    `partial[(${s} * ${cells.length}u + ${n}u) * ${width}u + local.x]`;
  return `
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> counts: vec4u;
${shared ? `var<workgroup> partial: array<f32, SEGMENTS * ${cells.length * width}u>;` : ""}

@compute @workgroup_size(${width}, LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let block = (group.x * ${threadBlocks}u + local.x / 8u) * ${rowBlocks}u;
  let r = local.x % 8u;
  let token = group.y * ${tokens}u;
  let zero = vec4f(f32(counts.w));
  ${each(cells, ({ t, i }) => `var total${i}_${t} = 0.0;`)}
  for (var s = local.y; s < SEGMENTS; s += LANES) {
    ${each(cells, ({ t, i }) => `var sum${i}_${t} = zero;`)}
    let end = min((s + 1u) * SEGMENT4, COLUMNS4);
    for (var scaled = s * SEGMENT4; scaled < end; scaled += SCALE_GROUPS) {
      ${each(rows, (i) => `let scale${i} = scale_of(block + ${i}u, scaled, r);`)}
      let stop = min(scaled + SCALE_GROUPS, end);
      for (var c = scaled; c < stop; c++) {
        ${each(rows, (i) => `let w${i} = scaled4(block + ${i}u, c, r, scale${i});`)}
        ${
    each([...Array(tokens).keys()], (t) => `
        let v${t} = x[(token + ${t}u) * COLUMNS4 + c];
        ${each(rows, (i) => `sum${i}_${t} = fma(w${i}, v${t}, sum${i}_${t});`)}`)
  }
      }
    }
    ${
    each(
      cells,
      ({ t, i }, n) =>
        shared ? `${partial("s", n)} = ${joined(i, t)};` : `total${i}_${t} += ${joined(i, t)};`,
    )
  }
  }
  ${
    shared
      ? `
  workgroupBarrier();
  if local.y > 0u {
    return;
  }
  for (var s = 0u; s < SEGMENTS; s++) {
    ${each(cells, ({ t, i }, n) => `total${i}_${t} += ${partial("s", n)};`)}
  }`
      : ""
  }
  ${
    each(cells, ({ t, i }) => `
  if (block + ${i}u) * 8u + r < ROWS && token + ${t}u < counts[COUNT] {
    put((token + ${t}u) * OUT_STRIDE + ROW_OFFSET + (block + ${i}u) * 8u + r, total${i}_${t});
  }`)
  }
}
`;
}

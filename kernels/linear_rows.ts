/**
 * Generates the WGSL of `linear_rows` for a given tile.
 *
 * The loops are unrolled here and not in WGSL, because sums must stay in registers: compilers of
 * software adapters do not unroll loops of more than 32 iterations and then keep the arrays in
 * memory, which is five times slower.
 */

import { ROW_BLOCK } from "./layouts.ts";
import { NORM_THREADS } from "./layer_norm.ts";
import shiftedSource from "./linear_shifted.wgsl" with { type: "text" };
import { ACTIVATION, type LinearPart, writtenRows } from "./linear_part.ts";
import { reduceSource } from "./reduce.ts";

/** The work of one thread, and the arrangement of threads in a workgroup. */
export interface RowsTile {
  /** Blocks of 8 rows per thread; a thread computes one row of each. */
  rowBlocks: number;
  /** Tokens per thread; each weight is read once for all of them. */
  tokens: number;
  /**
   * Threads that share a row, each summing other segments; above 1, sums go through workgroup
   * memory.
   */
  lanes: number;
  /** Groups of 8 threads per workgroup, each with its own `rowBlocks` blocks. */
  threadBlocks: number;
}

/**
 * Returns the shader text. Bindings as in matmul.wgsl; constants COLUMNS4, SEGMENT4, SEGMENTS,
 * SCALE_GROUPS, COUNT, LANES. Grid (workgroups of all parts, ceil(tokens / tile.tokens), 1). The
 * order of additions is described in linear.ts.
 */
export function linearRowsSource(
  { parts, tile, shifted }: { parts: readonly LinearPart[]; tile: RowsTile; shifted: boolean },
): string {
  const { rowBlocks, tokens, lanes, threadBlocks } = tile;
  if (shifted && tokens > 1) {
    throw new Error("Cannot fuse the token shift: the tile has more than one token");
  }
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
${shifted ? `${reduceSource(NORM_THREADS)}\n${shiftedSource}` : ""}
${shared ? `var<workgroup> partial: array<f32, SEGMENTS * ${cells.length * width}u>;` : ""}

struct Part {
  group: u32, // first workgroup
  block: u32, // first block of weights
  rows: u32, // number of rows to write
  x4: u32, // first vec4f of x
  y: u32, // start of the first token's row in y
  stride: u32, // elements between two tokens' rows of y
}

fn activate(group: u32, v: f32) -> f32 {
  ${activationChoice(parts, tile)}
}

@compute @workgroup_size(${width}, LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  ${partChoice(parts, tile)}
  let own = ((group.x - part.group) * ${threadBlocks}u + local.x / 8u) * ${rowBlocks}u;
  let block = part.block + own;
  let r = local.x % 8u;
  let token = group.y * ${tokens}u;
  let zero = vec4f(f32(counts.w));
  ${shifted ? "make_mixed(token, part.x4, thread, group.x == 0u);" : ""}
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
        let v${t} = ${shifted ? "mixed[c]" : `x[part.x4 + (token + ${t}u) * COLUMNS4 + c]`};
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
  if (own + ${i}u) * 8u + r < part.rows && token + ${t}u < counts[COUNT] {
    let at = part.y + (token + ${t}u) * part.stride + (own + ${i}u) * 8u + r;
    put(at, activate(part.group, total${i}_${t}));
  }`)
  }
}
`;
}

/** Returns the number of workgroups of a part. A workgroup never spans two parts. */
export function workgroupCount(
  { rows }: LinearPart,
  { rowBlocks, threadBlocks }: RowsTile,
): number {
  return Math.ceil(rows / (ROW_BLOCK * rowBlocks * threadBlocks));
}

/**
 * Returns `tile` with the fewest blocks per thread that need no more workgroups. This reduces the
 * padding rows of parts whose row count is not a multiple of the tile's.
 */
export function balanceTile(parts: readonly LinearPart[], tile: RowsTile): RowsTile {
  const groups = (rowBlocks: number) =>
    parts.reduce((sum, part) => sum + workgroupCount(part, { ...tile, rowBlocks }), 0);
  let { rowBlocks } = tile;
  while (rowBlocks > 1 && groups(rowBlocks - 1) === groups(rowBlocks)) rowBlocks--;
  return { ...tile, rowBlocks };
}

function firstGroups(parts: readonly LinearPart[], tile: RowsTile): number[] {
  let next = 0;
  return parts.map((part) => (next += workgroupCount(part, tile)) - workgroupCount(part, tile));
}

/** Returns WGSL that declares `part`, the part of this workgroup. */
function partChoice(parts: readonly LinearPart[], tile: RowsTile): string {
  const groups = firstGroups(parts, tile);
  const values = parts.map((part, i) => {
    const { firstBlock, xOffset, yOffset, rowOffset, outStride } = part;
    const fields = [
      groups[i],
      firstBlock,
      writtenRows(part),
      xOffset / 4,
      yOffset + rowOffset,
      outStride,
    ];
    return `Part(${fields.map((value) => `${value}u`).join(", ")})`;
  });
  if (values.length === 1) return `let part = ${values[0]};`;
  const others = values.slice(1).map((value, i) =>
    `if group.x >= ${groups[i + 1]}u { part = ${value}; }`
  );
  return [`var part = ${values[0]};`, ...others].join("\n");
}

/** Returns WGSL that applies the activation of the part whose first workgroup is `group` to `v`. */
function activationChoice(parts: readonly LinearPart[], tile: RowsTile): string {
  const lines = firstGroups(parts, tile).map((group, i) => ({
    group,
    line: `return ${ACTIVATION[parts[i].activation]};`,
  }));
  if (lines.every(({ line }) => line === lines[0].line)) return lines[0].line;
  const last = lines.pop()!;
  return [...lines.map(({ group, line }) => `if group == ${group}u { ${line} }`), last.line]
    .join("\n");
}

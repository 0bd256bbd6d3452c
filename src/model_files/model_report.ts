/** Reports on a model's matrices: types, sizes, bits per weight. */

import type { Model } from "../model/load.ts";
import { architectureOf, matrixNames } from "../model/architectures/registry.ts";
import {
  assignTypes,
  matrixBytes,
  type Quant,
  type QuantName,
  quantName,
  ROW_BLOCK,
} from "../quant/mod.ts";

export interface MatrixReport {
  name: string;
  shape: [rows: number, columns: number];
  /** Element type in the file. */
  stored: string;
  held: QuantName;
  /** Size in device memory. */
  bytes: number;
  /**
   * Relative error: the root of the squared error over the squared values. Only from converted
   * files.
   */
  error?: number;
}

/** Maximum number of tensor names to print. */
const MAX_NAMES = 8;

/** Formats tensor names for display: the first ones and the number of others. */
export function formatNames(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const more = names.length - MAX_NAMES;
  return names.slice(0, MAX_NAMES).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Returns a warning about tensors that the model does not use, or null if there are none. */
export function unusedTensorsNotice({ name, dimensions, unusedTensors }: Model): string | null {
  if (unusedTensors.length === 0) return null;
  const { generation } = architectureOf(dimensions);
  return `Ignoring ${unusedTensors.length} tensors of ${name} that RWKV-${generation} does not use: ` +
    `${formatNames(unusedTensors)}; \`deno task rwkv info --json\` lists them`;
}

/** Returns all matrices in the order of the layer graph. */
export function matrixReports(model: Model, quant: Quant): MatrixReport[] {
  return [...assignTypes(quant, matrixNames(model.dimensions))].map(([name, type]) => {
    const { rows, columns, packed } = model.matrix(name);
    const error = model.converted?.matrices.get(name)?.error;
    return {
      name,
      shape: [rows, columns],
      stored: packed ?? model.checkpoint.tensors.get(model.names.get(name)!)!.dtype,
      held: quantName(type),
      bytes: matrixBytes(rows, columns, type),
      ...(typeof error === "number" ? { error } : {}),
    };
  });
}

/** Returns the bits per weight in device memory, scales included, over the rows of all matrices. */
export function bitsPerWeight(model: Model, quant: Quant): number {
  let bytes = 0, weights = 0;
  for (const [name, type] of assignTypes(quant, matrixNames(model.dimensions))) {
    const { rows, columns } = model.matrix(name);
    bytes += rows * matrixBytes(ROW_BLOCK, columns, type) / ROW_BLOCK;
    weights += rows * columns;
  }
  return bytes * 8 / weights;
}

/** Formats the matrices as lines. Matrices that differ only in their layer share a line. */
export function matrixTable(reports: readonly MatrixReport[]): string[] {
  const groups = new Map<string, MatrixReport[]>();
  for (const report of reports) {
    const name = report.name.replace(/^blocks\.\d+\./, "blocks.*.");
    const key = [name, ...report.shape, report.stored, report.held].join(" ");
    groups.set(key, [...groups.get(key) ?? [], report]);
  }
  const rows = [...groups.values()].map((group) => {
    const [{ name, shape, stored, held }] = group;
    const pattern = name.replace(/^blocks\.\d+\./, `blocks.{${layersOf(group)}}.`);
    return [
      group.length > 1 ? pattern : name,
      shape.join(" x "),
      stored === held ? held : `${stored} -> ${held}`,
      group.reduce((sum, { bytes }) => sum + bytes, 0),
    ] as const;
  });
  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((row) => String(row[i]).length)));
  return rows.map(([name, shape, types, bytes]) =>
    `  ${name.padEnd(widths[0])}  ${shape.padStart(widths[1])}  ${types.padEnd(widths[2])}  ` +
    `${(bytes / 1e6).toFixed(1).padStart(8)} MB`
  );
}

/** Formats layer numbers as `0-23` or `0,2,5`. */
function layersOf(group: readonly MatrixReport[]): string {
  const layers = group.map(({ name }) => Number(name.split(".")[1]));
  const [first, last] = [layers[0], layers[layers.length - 1]];
  return last - first === layers.length - 1 ? `${first}-${last}` : layers.join(",");
}

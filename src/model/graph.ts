/**
 * The operations of a layer graph. An engine executes them in order, each for all tokens of a step. They
 * read and write activations, named weights and the state.
 *
 * A step has T tokens, O of them selected for logits. C is the width, F the width of the channel mix.
 */

import type { Dimensions } from "./dimensions.ts";

/**
 * Activations: x `[T, C]` (the residual stream); mixed `[mixes, T, C]`; r, k, v, g, y `[T, C]`;
 * hidden `[T, F]`; receptance `[T, C]`; selected `[O, C]`; logits `[O, vocabulary]`.
 */
export type ActivationName =
  | "x"
  | "mixed"
  | "r"
  | "k"
  | "v"
  | "g"
  | "y"
  | "hidden"
  | "receptance"
  | "selected"
  | "logits";

/** Returns the length of each activation in a graph, in elements for one token. */
export function activationLengths(
  ops: readonly Op[],
  { width, ffnWidth, vocabulary }: Dimensions,
): Record<ActivationName, number> {
  const mixes = Math.max(...ops.map((op) => op.op === "normShift" ? op.mixes : 0));
  return {
    x: width,
    mixed: mixes * width,
    r: width,
    k: width,
    v: width,
    g: width,
    y: width,
    hidden: ffnWidth,
    receptance: width,
    selected: width,
    logits: vocabulary,
  };
}

/** `y = activation(W x)`, stored, added to y, or multiplied by a gate and added to y. */
export interface Linear {
  /** Name of the matrix. */
  weight: string;
  from: ActivationName;
  /** Plane of `from`; 0 if there is only one. */
  plane: number;
  to: ActivationName;
  activation: "none" | "silu" | "sigmoid" | "relu2";
  write: "store" | "add" | "gatedAdd";
  /** The gate of `gatedAdd`. */
  gate?: ActivationName;
}

/** Independent linears, which an engine can execute together. */
export interface LinearsOp {
  op: "linears";
  linears: readonly Linear[];
}

export type Op =
  /** x = layer_norm(table[id], norm) */
  | { op: "embed"; table: string; norm: string }
  /** mixed[m] = token_shift(layer_norm(x, norm), mix[m]); the shift is the state's `site`. */
  | { op: "normShift"; norm: string; mix: string; mixes: number; site: number }
  | LinearsOp
  /**
   * y, state of `layer` = wkv5(r, k, v, decay, bonus, state of `layer`), then
   * y = group_norm(y, norm), times g where gated
   */
  | { op: "wkv5"; layer: number; decay: string; bonus: string; norm: string; gated: boolean }
  /** selected = layer_norm(x of the selected tokens, norm) */
  | { op: "selectNorm"; norm: string };

/** Returns the names of the matrices of a graph, grouped by the operations that use them. */
export function matrixGroupsOf(ops: readonly Op[]): string[][] {
  return ops.flatMap((op) => {
    if (op.op === "embed") return [[op.table]];
    return op.op === "linears" ? [op.linears.map(({ weight }) => weight)] : [];
  });
}

/**
 * What a kernel is: WGSL, the constants put before it, its bindings in order, and its grid.
 *
 * Sizes reach a shader as `const` lines before its text and not as `override`s, because the length
 * of a function-local array (the registers of WKV) must be a constant expression, and one way to
 * pass a number is easier to read than two. A shader names the constants that it expects at its
 * top.
 */

/** How a shader uses a binding. */
export type Access = "read" | "readWrite" | "uniform";

/** A `const` of the shader: a number is `u32`, `{ f32 }` a float. */
export type Constant = number | { f32: number };

/** Counts that change from step to step. */
export interface StepCounts {
  /** Tokens of this step, over all runs. */
  tokens: number;
  /** Runs of consecutive tokens, one a slot. */
  runs: number;
  /** Tokens whose logits are wanted. */
  outputs: number;
  /** Runs, the first ones, whose token is on the device. */
  gathered: number;
}

/** Declares a kernel for the sizes `P`. */
export interface KernelSpec<P> {
  name: string;
  /** WGSL text after the constants. */
  source: (sizes: P) => string;
  /** What is bound to group 0, numbered in order. */
  bindings: (sizes: P) => Record<string, Access>;
  constants: (sizes: P) => Record<string, Constant>;
  /** Workgroups to dispatch. */
  grid: (sizes: P, counts: StepCounts) => [x: number, y: number, z: number];
  /** Tells uses of the kernel apart where they are timed. */
  variant?: (sizes: P) => string;
  /** Bytes of weights, states and logits that it reads and writes at least; none unless told. */
  bytes?: (sizes: P, counts: StepCounts) => number;
}

/** The WGSL module of a kernel at given sizes. */
export function shaderCode<P>(spec: KernelSpec<P>, sizes: P): string {
  const lines = Object.entries(spec.constants(sizes)).map(([name, value]) =>
    typeof value === "number"
      ? `const ${name}: u32 = ${value}u;`
      : `const ${name}: f32 = ${floatLiteral(value.f32)};`
  );
  return `${lines.join("\n")}\n${spec.source(sizes)}`;
}

function floatLiteral(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** The next multiple of `unit` at or above `value`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

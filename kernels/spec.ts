/**
 * The specification of a kernel: WGSL, the constants prepended to it, its bindings in order, and
 * its grid.
 *
 * Sizes are passed as `const` lines before the shader's text and not as `override`s, because the
 * length of a function-local array (the registers of WKV) must be a constant expression, and a
 * single way to pass numbers is easier to read. Each shader lists the constants that it expects in
 * its header.
 */

/** A shader's access to a binding. */
export type Access = "read" | "readWrite" | "uniform";

/** A `const` of the shader: a number becomes a `u32`, `{ f32 }` an `f32`. */
export type Constant = number | { f32: number };

/** Counts that vary between steps. */
export interface StepCounts {
  /** Tokens of the step, over all runs. */
  tokens: number;
  /** Runs of consecutive tokens, one per slot. */
  runs: number;
  /** Tokens that need logits. */
  outputs: number;
  /** The first runs, whose token is gathered on the device from their slot. */
  gathered: number;
}

/** Declares a kernel with sizes `P`. */
export interface KernelSpec<P> {
  name: string;
  /** Returns the WGSL text that follows the constants. */
  source: (sizes: P) => string;
  /** Returns the bindings of group 0, numbered in order. */
  bindings: (sizes: P) => Record<string, Access>;
  constants: (sizes: P) => Record<string, Constant>;
  /** Returns the number of workgroups to dispatch. */
  grid: (sizes: P, counts: StepCounts) => [x: number, y: number, z: number];
  /** Returns a label that distinguishes uses of the kernel in profiles. */
  variant?: (sizes: P) => string;
  /** Returns the minimum bytes of weights, states and logits read and written; 0 by default. */
  bytes?: (sizes: P, counts: StepCounts) => number;
}

/** Returns the WGSL module of a kernel with the given sizes. */
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

/** Rounds `value` up to a multiple of `unit`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/**
 * What an engine is: token ids in, logits out, recurrent states in numbered slots. The scheduler
 * is its only caller. An engine never sees text, and never decides what to run next.
 */

import type { MemoryBytes } from "../gpu/mod.ts";
import type { Dimensions } from "../model/dimensions.ts";
import type { Quant } from "../quant/mod.ts";

export type { MemoryBytes } from "../gpu/mod.ts";
export type { Quant } from "../quant/mod.ts";
export { stateLength } from "../model/dimensions.ts";

/** Which logits of a run are wanted: of no token, of its last, or of every one. */
export type LogitsWanted = "none" | "last" | "all";

/** Told while weights are read: bytes that are in their place, of how many. */
export type OnProgress = (done: number, total: number) => void;

/** Consecutive tokens of one sequence, fed to the state in `slot`. */
export interface Run {
  slot: number;
  /** Token ids, each below `dimensions.vocabulary`; at least one. */
  tokens: readonly number[];
  logits: LogitsWanted;
}

export interface EngineInfo {
  device: "webgpu" | "cpu";
  /** Adapter and driver as the platform names them, or "plain TypeScript". */
  adapter: string;
  /** True where the adapter is a software renderer. */
  software: boolean;
  quant: Quant;
  dimensions: Dimensions;
  /** The model's: states belong to it. */
  fingerprint: string;
  /** Sequences whose states are held at once. */
  slots: number;
  /** Tokens that one step takes at most, over all its runs. */
  maxStepTokens: number;
  /** Bytes that the engine has allocated, on the device or, on the CPU, in the process. */
  memory: MemoryBytes;
}

/**
 * A loaded model. Calls may overlap: they are carried out in the order in which they were made.
 *
 * A state is one Float32Array, for every layer `att_prev[C]`, `wkv[H][N][N]` (key, value),
 * `ffn_prev[C]`, one after the other: `layers * C * (N + 2)` numbers.
 */
export interface Engine {
  readonly info: EngineInfo;

  /**
   * Feeds every run to its slot, at most one run a slot, and returns for every run the logits it
   * asked for, `[rows, vocabulary]` flattened: 0, 1 or `tokens.length` rows.
   *
   * @throws InferenceError `invalid_value` for an id, slot or size out of range; no slot has
   * changed then.
   */
  step(runs: readonly Run[]): Promise<Float32Array[]>;

  /** A copy of the state in `slot`. */
  readState(slot: number): Promise<Float32Array>;

  /** Replaces the state in `slot`; `null` is the state before any token, all zero. */
  writeState(slot: number, state: Float32Array | null): Promise<void>;

  /** Frees device memory. Every later call throws. */
  close(): Promise<void>;
}

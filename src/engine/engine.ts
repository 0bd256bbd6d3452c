/**
 * The interface of an engine. It takes token ids, returns logits or sampled ids, and keeps
 * recurrent states in numbered slots. The scheduler is its only caller and decides what to run
 * next.
 */

import { hasCpuOnlyValue } from "../core/sampling_parameters.ts";
import type { InferenceError } from "../core/errors.ts";
import type { Constraint, SamplingParams, StopSearch, TokenLogprobs } from "../core/sampling.ts";
import type { MemoryBytes } from "../gpu/mod.ts";
import type { Dimensions } from "../model/dimensions.ts";
import type { Quant } from "../quant/mod.ts";

export type { MemoryBytes } from "../gpu/mod.ts";
export type { Quant } from "../quant/mod.ts";
export { stateLength } from "../model/architectures/registry.ts";

/** The tokens of a run whose logits are returned: none, the last one, or all. */
export type LogitsSelection = "none" | "last" | "all";

/** Receives messages for the operator's log. */
export type OnNotice = (level: "info" | "warn", message: string) => void;

/** Called while weights are loaded, with the bytes loaded so far and the total. */
export type OnProgress = (done: number, total: number) => void;

/**
 * Milliseconds of each loading phase of an engine that took place: opening the model's file and
 * the device, reading the tuning cache, uploading weights and, concurrently, building kernels.
 */
export type LoadTimes = Readonly<
  Partial<Record<"model" | "device" | "tuning" | "weights" | "kernels", number>>
>;

/** Consecutive tokens of one sequence, processed from the state in `slot`. */
export interface Run {
  /** Slot number, below `info.slots`. */
  slot: number;
  /** Token ids, at least one, each below `dimensions.vocabulary`. */
  tokens: readonly number[];
  /** The rows of logits to return. */
  logits: LogitsSelection;
}

/** Why this device was selected. */
export interface DeviceSelection {
  /** The engine and the reason for it, such as "CPU engine: there is no WebGPU adapter". */
  reason: string;
  /** Warning for the operator, such as a GPU that cannot be used. */
  warning: string | null;
}

/** Properties and limits of an engine. */
export interface EngineInfo {
  /** The kind of device that computes. */
  device: "webgpu" | "cpu";
  /** Adapter and driver as named by the platform, or "plain TypeScript". */
  adapter: string;
  /** True if the adapter is a software renderer. */
  software: boolean;
  /** Format of the weights in memory. */
  quant: Quant;
  /** Version and sizes of the model. */
  dimensions: Dimensions;
  /** Fingerprint of the model; states are valid only for the same fingerprint. */
  fingerprint: string;
  /** Number of slots: sequences processed concurrently. */
  slots: number;
  /** Maximum tokens per step, over all runs. */
  maxStepTokens: number;
  /** Bytes allocated by the engine on the device, or by the CPU engine in the process. */
  memory: MemoryBytes;
  /** Duration of each loading phase. */
  loading: LoadTimes;
  /** Why `device` was selected, unless the caller specified it. */
  selection?: DeviceSelection | undefined;
}

/**
 * A loaded model. Calls may overlap and run in the order in which they were made.
 *
 * A state is one Float32Array. It contains, for each layer, `att_prev[C]`, `wkv[H][N][N]` (key,
 * value) and `ffn_prev[C]`, concatenated: `layers * C * (N + 2)` elements.
 */
export interface Engine {
  /** Properties of the engine; they never change. */
  readonly info: EngineInfo;

  /** Resolves when the engine detects its own failure; after that, every call rejects. */
  readonly failed?: Promise<InferenceError> | undefined;

  /**
   * Processes the runs, at most one per slot. Returns the requested logits of each run,
   * `[rows, vocabulary]` flattened, with 0, 1 or `tokens.length` rows.
   *
   * @throws InferenceError `invalid_value` for an id, slot or size out of range; then no slot has
   * changed.
   */
  step(runs: readonly Run[]): Promise<Float32Array[]>;

  /**
   * Returns a copy of the state in `slot`.
   *
   * @throws InferenceError `numeric_fault` if the state contains NaN or infinity.
   */
  readState(slot: number): Promise<Float32Array>;

  /** Replaces the state in `slot`; `null` writes the initial state, all zero. */
  writeState(slot: number, state: Float32Array | null): Promise<void>;

  /** Copies the state in slot `from` to slot `to`. */
  copyState(from: number, to: number): Promise<void>;

  /** Frees device memory. Every later call rejects. */
  close(): Promise<void>;
}

/** Sampling settings of a slot, effective from its next token. */
export interface SlotSampling {
  /** Sampling parameters. */
  params: SamplingParams;
  /** Token counts so far, for the penalties. */
  counts: ReadonlyMap<number, number>;
  /** Number of tokens sampled so far, which is the position of the next random number. */
  position: number;
  /** Maximum number of tokens to sample; at least 1. */
  maxTokens: number;
  /** Id that ends the turn. */
  endToken: number | null;
  /** Search for the strings that end the turn; not modified. */
  stops: StopSearch | null;
  /** Format that the reply must follow. */
  constraint?: Constraint | undefined;
  /** Number of most probable tokens to return with each token; no log probabilities if omitted. */
  logprobs?: number | undefined;
  /** Tokens that the turn sampled in another slot; `stops` and `constraint` continue after them. */
  alreadySampled?: readonly number[] | undefined;
}

/**
 * Returns whether a turn uses features that the device does not support and the CPU must sample.
 */
export function needsCpuSampling(
  { constraint, logprobs, params }: Pick<SlotSampling, "constraint" | "logprobs" | "params">,
): boolean {
  return constraint !== undefined || logprobs !== undefined || hasCpuOnlyValue(params);
}

/** A turn's part of a step: processes `tokens` and samples a token from the resulting logits. */
export interface GenerateRun {
  /** Slot number, below `info.slots`. */
  slot: number;
  /** Token ids; if empty, the last token sampled in the slot. */
  tokens: readonly number[];
  /** Whether to sample a token after these; false during prefill. */
  sample: boolean;
}

/** Why no token could be sampled: logits are not finite, or every token is banned. */
export interface SamplingFault {
  /** The kind of fault. */
  kind: "not_finite" | "all_banned";
  /** Error message. */
  message: string;
}

/** The tokens sampled by a run. */
export interface GenerateResult {
  /** Sampled ids in order; the last one has not been processed yet. */
  tokens: number[];
  /** "stop": end token or stop string; "length": token limit; `null`: the turn continues. */
  finishReason: "stop" | "length" | null;
  /** Why no token could be sampled, if so. */
  fault: SamplingFault | null;
  /** Log probabilities of each of `tokens`, if requested. */
  logprobs?: TokenLogprobs[];
}

/** An engine that also samples, so that the caller does not handle each token between steps. */
export interface SamplingEngine extends Engine {
  /** Maximum steps per call of `generate`. */
  readonly maxSteps: number;

  /**
   * Compiles a constraint for later turns.
   *
   * @throws InferenceError `invalid_value` for an unsupported constraint, `unsupported_value` if the
   * engine supports no constraints.
   */
  prepareConstraint(constraint: Constraint): Promise<void>;

  /** Sets how `slot` samples from its next logits on; `writeState` does not change this. */
  startSampling(slot: number, sampling: SlotSampling): Promise<void>;

  /**
   * Runs `steps` steps with these runs, at most one per slot. Returns the tokens that each run
   * sampled. Later steps and calls skip a turn that has ended: its state remains the one from which
   * its last token was sampled.
   *
   * @param steps May exceed 1 only if every run continues from its own token.
   * @throws InferenceError `invalid_value` like `step`.
   */
  generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]>;
}

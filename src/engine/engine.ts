/**
 * What an engine is: token ids in, logits or sampled ids out, recurrent states in numbered slots. The
 * scheduler is its only caller. An engine never decides what to run next.
 */

import type { InferenceError } from "../core/errors.ts";
import type { Constraint, SamplingParams, StopSearch, TokenLogprobs } from "../core/sampling.ts";
import type { MemoryBytes } from "../gpu/mod.ts";
import type { Dimensions } from "../model/dimensions.ts";
import type { Quant } from "../quant/mod.ts";

export type { MemoryBytes } from "../gpu/mod.ts";
export type { Quant } from "../quant/mod.ts";
export { stateLength } from "../model/architectures/registry.ts";

/** Which logits of a run are wanted: of no token, of its last, or of every one. */
export type LogitsSelection = "none" | "last" | "all";

/** Called with what an operator should see in the log. */
export type OnNotice = (level: "info" | "warn", message: string) => void;

/** Told while weights are read: bytes that are in their place, of how many. */
export type OnProgress = (done: number, total: number) => void;

/**
 * Milliseconds that the parts of opening an engine took, those that were done: opening the model's
 * file and the device, reading the tuning cache, then sending weights, while which kernels are
 * built.
 */
export type LoadTimes = Readonly<
  Partial<Record<"model" | "device" | "tuning" | "weights" | "kernels", number>>
>;

/** Consecutive tokens of one sequence, fed to the state in `slot`. */
export interface Run {
  /** Number of the slot, below `info.slots`. */
  slot: number;
  /** Token ids, each below `dimensions.vocabulary`; at least one. */
  tokens: readonly number[];
  /** Which rows of logits it gives. */
  logits: LogitsSelection;
}

/** Why an engine runs on the device that it does. */
export interface DeviceSelection {
  /** The engine and the reason for it, such as "CPU engine: there is no WebGPU adapter". */
  reason: string;
  /** What an operator should know about the choice, such as a GPU that cannot be used. */
  warning: string | null;
}

/** What an engine is, and how much it can do at once. */
export interface EngineInfo {
  /** What computes. */
  device: "webgpu" | "cpu";
  /** Adapter and driver as the platform names them, or "plain TypeScript". */
  adapter: string;
  /** True where the adapter is a software renderer. */
  software: boolean;
  /** How the weights are held. */
  quant: Quant;
  /** Version and sizes of the model. */
  dimensions: Dimensions;
  /** The model's: states belong to it. */
  fingerprint: string;
  /** Sequences whose states are held at once. */
  slots: number;
  /** Tokens that one step takes at most, over all its runs. */
  maxStepTokens: number;
  /** Bytes that the engine has allocated, on the device or, on the CPU, in the process. */
  memory: MemoryBytes;
  /** How long it took to open. */
  loading: LoadTimes;
  /** Why `device` was selected, unless the caller named it. */
  selection?: DeviceSelection | undefined;
}

/**
 * A loaded model. Calls may overlap: they are carried out in the order in which they were made.
 *
 * A state is one Float32Array, for every layer `att_prev[C]`, `wkv[H][N][N]` (key, value),
 * `ffn_prev[C]`, one after the other: `layers * C * (N + 2)` numbers.
 */
export interface Engine {
  /** What it is; the same as long as it lives. */
  readonly info: EngineInfo;

  /** Resolves when it has failed, where it can tell without being called; then every call rejects. */
  readonly failed?: Promise<InferenceError> | undefined;

  /**
   * Feeds every run to its slot, at most one run a slot, and returns for every run the logits it
   * asked for, `[rows, vocabulary]` flattened: 0, 1 or `tokens.length` rows.
   *
   * @throws InferenceError `invalid_value` for an id, slot or size out of range; no slot has
   * changed then.
   */
  step(runs: readonly Run[]): Promise<Float32Array[]>;

  /**
   * A copy of the state in `slot`.
   *
   * @throws InferenceError `numeric_fault` where it holds what is no finite number.
   */
  readState(slot: number): Promise<Float32Array>;

  /** Replaces the state in `slot`; `null` is the state before any token, all zero. */
  writeState(slot: number, state: Float32Array | null): Promise<void>;

  /** Gives the slot `to` the state in `from`, which stays as it is. */
  copyState(from: number, to: number): Promise<void>;

  /** Frees device memory. Every later call throws. */
  close(): Promise<void>;
}

/** How a slot samples, from its next token on. */
export interface SlotSampling {
  /** How tokens are chosen. */
  params: SamplingParams;
  /** How often each token was sampled before, for the penalties. */
  counts: ReadonlyMap<number, number>;
  /** Tokens sampled before: the next random number's position. */
  position: number;
  /** Tokens to sample at most; 1 or more. */
  maxTokens: number;
  /** Id with which the turn ends. */
  endToken: number | null;
  /** Strings with which the turn ends; not changed. */
  stops: StopSearch | null;
  /** What the tokens must form. */
  constraint?: Constraint | undefined;
  /** How many most probable tokens are told with each one; nothing unless given. */
  logprobs?: number | undefined;
  /** Tokens that the turn has sampled in another slot, behind which `stops` and `constraint` go on. */
  alreadySampled?: readonly number[] | undefined;
}

/** Whether a turn needs the host between one token and the next: for what devices do not do. */
export function needsCpuSampling(
  { constraint, logprobs, params }: Pick<SlotSampling, "constraint" | "logprobs" | "params">,
): boolean {
  const { minP = 0, repetitionPenalty = 1 } = params;
  return constraint !== undefined || logprobs !== undefined || minP > 0 || repetitionPenalty !== 1;
}

/** What a turn does in a step: feeds `tokens`, and samples one from the logits that follow. */
export interface GenerateRun {
  /** Number of the slot, below `info.slots`. */
  slot: number;
  /** None: the token that the slot sampled last. */
  tokens: readonly number[];
  /** Whether a token is sampled after these; false while a prompt is read. */
  sample: boolean;
}

/** Why nothing could be sampled: what is no number, or a choice that leaves no token. */
export interface SamplingFault {
  /** Which of the two. */
  kind: "not_finite" | "all_banned";
  /** As an error tells it. */
  message: string;
}

/** What a run has sampled. */
export interface GenerateResult {
  /** In order; the last one has not been fed. */
  tokens: number[];
  /** "stop": by an end token or a stop string; "length": by the limit. */
  finishReason: "stop" | "length" | null;
  /** Why nothing could be sampled, where that is so. */
  fault: SamplingFault | null;
  /** Of each of `tokens`, where they are asked for. */
  logprobs?: TokenLogprobs[];
}

/** An engine that also samples, so that its caller need not see every token before the next one. */
export interface SamplingEngine extends Engine {
  /** Steps that one call of `generate` takes at most. */
  readonly maxSteps: number;

  /**
   * Makes ready what turns with this constraint need.
   *
   * @throws InferenceError `invalid_value` for one that can't be held.
   */
  prepareConstraint(constraint: Constraint): Promise<void>;

  /** Lets `slot` sample as told, from the next logits on; `writeState` does not change it. */
  startSampling(slot: number, sampling: SlotSampling): Promise<void>;

  /**
   * Does `steps` steps with these runs, at most one a slot, and returns for every run what it
   * sampled. A turn that has ended takes no part in later steps and calls: its state is the one that
   * its last token was sampled from.
   *
   * @param steps Above 1 only where every run goes on from its own token.
   * @throws InferenceError `invalid_value` as `step`.
   */
  generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]>;
}

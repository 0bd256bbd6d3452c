/** Types for sampling, constraints and stop strings, shared by sessions, schedulers and engines. */

import { DEFAULT_SAMPLING_VALUES, type SamplingValues } from "./sampling_parameters.ts";

/**
 * Parameters for sampling the next token from logits: the numeric ones of `SAMPLING_PARAMETERS`,
 * and those that are not a number.
 */
export type SamplingParams = SamplingValues & {
  /** Values added to logits, by token id. */
  logitBias: ReadonlyMap<number, number>;
  /** Unsigned 64-bit seed; together with the position it determines the random number. */
  seed: bigint;
};

/** Neutral parameters: sample from the model's own distribution. */
export const NEUTRAL_SAMPLING: Readonly<Omit<SamplingParams, "seed">> = {
  ...DEFAULT_SAMPLING_VALUES,
  logitBias: new Map(),
};

/** The format that the text of a reply must follow. */
export type Constraint =
  | { type: "json_object" }
  /** The schema as JSON text. */
  | { type: "json_schema"; schema: string }
  | { type: "regex"; pattern: string }
  | { type: "choice"; choices: readonly string[] }
  /** EBNF in the syntax of xgrammar and llama.cpp; the start rule is `root`. */
  | { type: "grammar"; ebnf: string };

/** The progress of a constraint through one reply. */
export interface TokenConstraint {
  /** Returns `[ceil(vocabulary / 32)]` words: bit `id % 32` of word `id / 32` allows the token. */
  tokenBitmask(): Promise<Int32Array>;
  /** Advances past a sampled token. */
  accept(token: number): void;
  /** Frees its memory; no calls may follow. */
  close(): void;
}

/** Compiles a constraint. @throws InferenceError `invalid_value` if it is unsupported */
export type CreateTokenConstraint = (constraint: Constraint) => Promise<TokenConstraint>;

/** Log probabilities of a sampled token and its alternatives, before sampling parameters apply. */
export interface TokenLogprobs {
  /** Natural logarithm of the sampled token's probability. */
  logprob: number;
  /** The most probable tokens, in descending order. */
  top: readonly { token: number; logprob: number }[];
}

/** The bytes of `size` token ids. Ids of the model beyond `size` are never sampled. */
export interface TokenTable {
  /** Bytes of all ids, concatenated. */
  bytes: Uint8Array;
  /** `[size + 1]`: start of each id's bytes in `bytes`, then the end of the last one. */
  offsets: Uint32Array;
  /** `[size]`: 1 for ids that must never be sampled. */
  banned: Uint8Array;
}

/** Byte strings that end a reply, and the reply's bytes so far. */
export interface StopStrings {
  /** The strings, encoded; none is empty. */
  strings: readonly Uint8Array[];
  /** The last bytes of the reply so far, in which a stop string may have begun. */
  precedingBytes: Uint8Array;
  /**
   * How many of the last preceding bytes have not been searched. A stop string that ends in them
   * ends the reply with its next token.
   */
  unsearchedBytes: number;
}

/** Maximum total bytes of a reply's stop strings. */
export const MAX_STOP_BYTES = 2048;

/**
 * State of a search for stop strings in a reply's bytes, by the shift-and algorithm (Baeza-Yates
 * and Gonnet, "A new approach to text searching", 1992). The strings are concatenated, with one bit
 * per byte, in 32-bit words.
 */
export interface StopSearch {
  /** 32-bit words per mask. */
  words: number;
  /** `[256, words]`: for each byte value, its positions in the strings. */
  byteMasks: Uint32Array;
  /** `[words]`: the first position of each string. */
  startMask: Uint32Array;
  /** `[words]`: the last position of each string. */
  endMask: Uint32Array;
  /** `[words]`: the prefixes that the bytes so far end with, each marked at its last position. */
  prefixBits: Uint32Array;
  /** Whether a string has been found. */
  found: boolean;
}

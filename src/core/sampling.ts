/** How tokens are chosen and where a reply stops: what sessions, schedulers and engines share. */

import { SAMPLING_PARAMETERS } from "./sampling_parameters.ts";

/** How the next token is chosen from logits. */
export interface SamplingParams {
  /** 0 is argmax. */
  temperature: number;
  /** Nucleus: keep the most probable tokens whose probabilities sum up to this; 1 keeps all. */
  topP: number;
  /** Keep this many most probable tokens; 0 keeps all. */
  topK: number;
  /** Subtracted once from the logit of every token with a count. */
  presencePenalty: number;
  /** Subtracted per count. */
  frequencyPenalty: number;
  /** Keep the tokens at least this part as probable as the most probable one; 0 keeps all. */
  minP?: number;
  /** Divides the positive logits of tokens with a count, and multiplies the others; 1 for none. */
  repetitionPenalty?: number;
  /** Factor on all counts after every sampled token; 1 for OpenAI's semantics. */
  penaltyDecay: number;
  /** Added to logits, by token id. */
  logitBias: ReadonlyMap<number, number>;
  /** Unsigned 64-bit seed as a bigint: with the position it determines the random number. */
  seed: bigint;
}

/** The model's own distribution: nothing is cut, penalized or biased. */
export const NEUTRAL_SAMPLING: Readonly<Omit<SamplingParams, "seed">> = {
  temperature: SAMPLING_PARAMETERS.temperature.defaultValue,
  topP: SAMPLING_PARAMETERS.top_p.defaultValue,
  topK: SAMPLING_PARAMETERS.top_k.defaultValue,
  presencePenalty: SAMPLING_PARAMETERS.presence_penalty.defaultValue,
  frequencyPenalty: SAMPLING_PARAMETERS.frequency_penalty.defaultValue,
  penaltyDecay: SAMPLING_PARAMETERS.penalty_decay.defaultValue,
  logitBias: new Map(),
};

/** What the text of a reply must be. */
export type Constraint =
  | { type: "json_object" }
  /** The schema as JSON. */
  | { type: "json_schema"; schema: string }
  | { type: "regex"; pattern: string }
  | { type: "choice"; choices: readonly string[] }
  /** In EBNF as xgrammar and llama.cpp write it, from its rule `root`. */
  | { type: "grammar"; ebnf: string };

/** A constraint on its way through a reply. */
export interface TokenConstraint {
  /** `[ceil(vocabulary / 32)]`: bit `id % 32` of word `id / 32` is set where the token may come next. */
  tokenBitmask(): Promise<Int32Array>;
  /** Takes the token that came. */
  accept(token: number): void;
  /** Frees what it holds; nothing may follow. */
  close(): void;
}

/** Begins a constraint. @throws InferenceError `invalid_value` for one that can't be held */
export type CreateTokenConstraint = (constraint: Constraint) => Promise<TokenConstraint>;

/** How probable a sampled token was by the model alone, and what was most probable then. */
export interface TokenLogprobs {
  /** Natural logarithm of its probability. */
  logprob: number;
  /** The most probable first. */
  top: readonly { token: number; logprob: number }[];
}

/** What sampling must know of token ids, `size` of them; a model's further ones are never sampled. */
export interface TokenTable {
  /** Bytes of all ids, one after the other. */
  bytes: Uint8Array;
  /** `[size + 1]`: where each id's bytes begin in `bytes`, and where the last one's end. */
  offsets: Uint32Array;
  /** `[size]`: 1 at ids that must never be sampled. */
  banned: Uint8Array;
}

/** Byte strings that end a reply, and how much of them has been written already. */
export interface StopStrings {
  /** As bytes; none is empty. */
  strings: readonly Uint8Array[];
  /** Bytes of the reply so far: a stop may have begun in them. The last ones are enough. */
  precedingBytes: Uint8Array;
  /** How many of the last bytes of `before` have not been searched: a stop that ends in them ends
   * the reply with its next token. */
  unsearchedBytes: number;
}

/** Bytes that the stop strings of a reply may have together. */
export const MAX_STOP_BYTES = 2048;

/**
 * A search for stop strings on its way through a reply's bytes, by the shift-and algorithm
 * (Baeza-Yates and Gonnet, "A new approach to text searching", 1992). The strings lie one after the
 * other, a bit for each of their bytes, in words of 32 bits.
 */
export interface StopSearch {
  /** 32-bit words of a set of bits. */
  words: number;
  /** `[256, words]`: where each byte stands in the strings. */
  byteMasks: Uint32Array;
  /** `[words]`: where strings begin. */
  startMask: Uint32Array;
  /** As `first`, of the ends. */
  endMask: Uint32Array;
  /** `[words]`: which beginnings of the strings the bytes so far end with, by their last byte. */
  prefixBits: Uint32Array;
  /** Whether a string has been found. */
  found: boolean;
}

/**
 * Measures the quality cost of storing states in a lossy codec. Conversations continue greedily
 * from the exact state; the same tokens are then processed from the decoded state, and the
 * predictions are compared.
 */

import { klDivergence, logSoftmax } from "../src/benchmark/eval_metrics.ts";
import type { Engine } from "../src/engine/engine.ts";
import { prefill } from "../src/engine/prefill.ts";
import { renderMessage, REPLY_START, TURN_END } from "../src/prompt/chat_template.ts";
import {
  decodeState,
  encodeState,
  STATE_CODECS,
  type StateCodec,
} from "../src/store/states/state_codec.ts";
import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";

/** Length of each continuation, in tokens. */
export const CONTINUATION_TOKENS = 100;

/** Tokens between two saves of a conversation that is stored "often". */
export const STORED_EVERY = 16;

/** Maximum length of the replies before the continuation. */
const REPLY_TOKENS = 64;

/**
 * "once": stored where the continuation starts; "often": stored every few tokens from the start.
 */
export const STORE_TIMES = ["once", "often"] as const;
export type StoreTime = typeof STORE_TIMES[number];

export interface Cost {
  codec: StateCodec;
  stored: StoreTime;
  bytes: number;
  /** Divergence from the exact state's prediction of the next token, in nats, over all tokens. */
  kl_mean: number;
  kl_max: number;
  /** Positions whose most likely next token differs. */
  argmax_differs: number;
  /** At these positions, the largest probability margin of the exact state's choice. */
  lead_max: number;
  /**
   * Conversations whose greedy continuation would differ: those with at least one such position,
   * because both continuations are equal up to the first one.
   */
  continuations_differ: number;
}

/** A conversation and its greedy continuation from the exact state. */
interface Continuation {
  /** Tokens that the state covers. */
  processed: readonly number[];
  state: Float32Array;
  /** Tokens processed after these. Each except the first is the most likely next token. */
  inputs: readonly number[];
  /** Log probabilities of the token after each of `inputs`. */
  predicted: readonly Float64Array[];
}

/** Measures all codecs over conversations, each given by its user messages. */
export async function stateCosts(
  engine: Engine,
  tokenizer: Tokenizer,
  { conversations, onProgress }: {
    conversations: readonly (readonly string[])[];
    onProgress: (done: number) => void;
  },
): Promise<Cost[]> {
  const costs = STATE_CODECS.flatMap((codec) =>
    STORE_TIMES.map((stored): Cost => ({
      codec,
      stored,
      bytes: 0,
      kl_mean: 0,
      kl_max: 0,
      argmax_differs: 0,
      lead_max: 0,
      continuations_differ: 0,
    }))
  );
  for (const [i, turns] of conversations.entries()) {
    const continuation = await continueGreedily(
      engine,
      await runConversation(engine, tokenizer, turns),
    );
    for (const cost of costs) await addCost(cost, engine, continuation);
    onProgress(i + 1);
  }
  const tokens = conversations.length * CONTINUATION_TOKENS;
  return costs.map((cost) => ({ ...cost, kl_mean: cost.kl_mean / tokens }));
}

/** Runs a conversation and returns its tokens up to the prompt of the last reply. */
async function runConversation(
  engine: Engine,
  tokenizer: Tokenizer,
  turns: readonly string[],
): Promise<number[]> {
  await engine.writeState(0, null);
  const tokens: number[] = [];
  const turnEnd = tokenizer.encode(TURN_END);
  const textOf = (token: number) => new TextDecoder().decode(tokenizer.tokenBytes(token));
  for (const [i, content] of turns.entries()) {
    const prompt = tokenizer.encode(renderMessage({ role: "user", content }) + REPLY_START);
    tokens.push(...prompt);
    if (i === turns.length - 1) break;
    let unread = prompt;
    for (let written = 0; written < REPLY_TOKENS; written++) {
      const token = argmax(await prefill(engine, unread, { slot: 0, logits: "last" }));
      if (token === tokenizer.endOfText || textOf(token).includes(TURN_END)) break;
      tokens.push(token);
      unread = [token];
    }
    await prefill(engine, turnEnd, { slot: 0, logits: "none" });
    tokens.push(...turnEnd);
  }
  return tokens;
}

/** Continues greedily after `tokens`. As in a resumed turn, their last token is the first input. */
async function continueGreedily(engine: Engine, tokens: readonly number[]): Promise<Continuation> {
  const processed = tokens.slice(0, -1);
  await engine.writeState(0, null);
  await prefill(engine, processed, { slot: 0, logits: "none" });
  const state = await engine.readState(0);
  const inputs = tokens.slice(-1);
  const predicted: Float64Array[] = [];
  for (let i = 0; i < CONTINUATION_TOKENS; i++) {
    const logits = await prefill(engine, [inputs[i]], { slot: 0, logits: "last" });
    predicted.push(logSoftmax(logits));
    if (i < CONTINUATION_TOKENS - 1) inputs.push(argmax(logits));
  }
  return { processed, state, inputs, predicted };
}

/** Adds the differences of one conversation; `kl_mean` accumulates the sum. */
async function addCost(cost: Cost, engine: Engine, continuation: Continuation): Promise<void> {
  const { processed, state, inputs, predicted } = continuation;
  const { vocabulary } = engine.info.dimensions;
  if (cost.stored === "once") await engine.writeState(0, state);
  else {
    await engine.writeState(0, null);
    for (let at = 0; at < processed.length; at += STORED_EVERY) {
      if (at > 0) await store(cost, engine);
      const tokens = processed.slice(at, at + STORED_EVERY);
      await prefill(engine, tokens, { slot: 0, logits: "none" });
    }
  }
  const length = cost.stored === "once" ? inputs.length : STORED_EVERY;
  let differ = 0;
  for (let at = 0; at < inputs.length; at += length) {
    await store(cost, engine);
    const tokens = inputs.slice(at, at + length);
    const logits = await prefill(engine, tokens, { slot: 0, logits: "all" });
    for (let i = 0; i < tokens.length; i++) {
      const p = predicted[at + i];
      const q = logSoftmax(logits.subarray(i * vocabulary, (i + 1) * vocabulary));
      const kl = klDivergence(p, q);
      cost.kl_mean += kl;
      cost.kl_max = Math.max(cost.kl_max, kl);
      const [expected, actual] = [argmax(p), argmax(q)];
      if (expected === actual) continue;
      differ++;
      cost.lead_max = Math.max(cost.lead_max, Math.exp(p[expected]) - Math.exp(p[actual]));
    }
  }
  cost.argmax_differs += differ;
  if (differ > 0) cost.continuations_differ++;
}

/** Replaces the engine's state by its encoded and decoded copy. */
async function store(cost: Cost, engine: Engine): Promise<void> {
  const state = await engine.readState(0);
  const bytes = encodeState(state, { codec: cost.codec, shape: engine.info.dimensions });
  cost.bytes = bytes.length;
  await engine.writeState(0, decodeState(bytes));
}

function argmax(values: Float32Array | Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * What storing a state costs, told by what the model says next: conversations go on from the exact
 * state, and the same tokens are fed to the state as each codec gives it back.
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

/** Tokens by which each conversation goes on. */
export const CONTINUATION_TOKENS = 100;

/** Tokens after which a conversation of many turns is stored. */
export const STORED_EVERY = 16;

/** Tokens of a reply on the way, at most. */
const REPLY = 64;

/** "once": where the continuation starts; "often": every few tokens, from the first one on. */
export const STORE_TIMES = ["once", "often"] as const;
export type StoreTime = typeof STORE_TIMES[number];

export interface Cost {
  codec: StateCodec;
  stored: StoreTime;
  bytes: number;
  /** Divergence from the exact state's prediction of the next token, in nats, over all tokens. */
  kl_mean: number;
  kl_max: number;
  /** Tokens whose likeliest successor is another one. */
  argmax_differs: number;
  /** By how much the exact state's likeliest successor led the other there, in probability, at most. */
  lead_max: number;
  /**
   * Conversations whose greedy continuation would be another one: those with such a token, since
   * up to the first of them both continuations are the same.
   */
  continuations_differ: number;
}

/** A conversation that has gone on from its exact state. */
interface Continued {
  /** Tokens that the state has absorbed. */
  absorbed: readonly number[];
  state: Float32Array;
  /** Tokens fed from then on, each but the first the likeliest behind the ones before. */
  fed: readonly number[];
  /** Log probabilities behind each of `fed`. */
  predicted: readonly Float64Array[];
}

/** Measures all codecs over conversations, each given by what its user says. */
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
    const continued = await goOn(engine, await talk(engine, tokenizer, turns));
    for (const cost of costs) await addCost(cost, engine, continued);
    onProgress(i + 1);
  }
  const tokens = conversations.length * CONTINUATION_TOKENS;
  return costs.map((cost) => ({ ...cost, kl_mean: cost.kl_mean / tokens }));
}

/** Has a conversation up to its last reply: all tokens of it, that reply's prompt last. */
async function talk(
  engine: Engine,
  tokenizer: Tokenizer,
  turns: readonly string[],
): Promise<number[]> {
  await engine.writeState(0, null);
  const told: number[] = [];
  const end = tokenizer.encode(TURN_END);
  const textOf = (token: number) => new TextDecoder().decode(tokenizer.tokenBytes(token));
  for (const [i, content] of turns.entries()) {
    const prompt = tokenizer.encode(renderMessage({ role: "user", content }) + REPLY_START);
    told.push(...prompt);
    if (i === turns.length - 1) break;
    let fresh = prompt;
    for (let written = 0; written < REPLY; written++) {
      const token = argmax(await prefill(engine, fresh, { slot: 0, logits: "last" }));
      if (token === tokenizer.endOfText || textOf(token).includes(TURN_END)) break;
      told.push(token);
      fresh = [token];
    }
    await prefill(engine, end, { slot: 0, logits: "none" });
    told.push(...end);
  }
  return told;
}

/** Goes on greedily behind `told`, whose last token is what a resumed turn feeds first. */
async function goOn(engine: Engine, told: readonly number[]): Promise<Continued> {
  const absorbed = told.slice(0, -1);
  await engine.writeState(0, null);
  await prefill(engine, absorbed, { slot: 0, logits: "none" });
  const state = await engine.readState(0);
  const fed = told.slice(-1);
  const predicted: Float64Array[] = [];
  for (let i = 0; i < CONTINUATION_TOKENS; i++) {
    const logits = await prefill(engine, [fed[i]], { slot: 0, logits: "last" });
    predicted.push(logSoftmax(logits));
    if (i < CONTINUATION_TOKENS - 1) fed.push(argmax(logits));
  }
  return { absorbed, state, fed, predicted };
}

/** Adds what the predictions of one conversation differ by; `kl_mean` is their sum. */
async function addCost(cost: Cost, engine: Engine, continued: Continued): Promise<void> {
  const { absorbed, state, fed, predicted } = continued;
  const { vocabulary } = engine.info.dimensions;
  if (cost.stored === "once") await engine.writeState(0, state);
  else {
    await engine.writeState(0, null);
    for (let at = 0; at < absorbed.length; at += STORED_EVERY) {
      if (at > 0) await store(cost, engine);
      const tokens = absorbed.slice(at, at + STORED_EVERY);
      await prefill(engine, tokens, { slot: 0, logits: "none" });
    }
  }
  const length = cost.stored === "once" ? fed.length : STORED_EVERY;
  let differ = 0;
  for (let at = 0; at < fed.length; at += length) {
    await store(cost, engine);
    const tokens = fed.slice(at, at + length);
    const logits = await prefill(engine, tokens, { slot: 0, logits: "all" });
    for (let i = 0; i < tokens.length; i++) {
      const p = predicted[at + i];
      const q = logSoftmax(logits.subarray(i * vocabulary, (i + 1) * vocabulary));
      const kl = klDivergence(p, q);
      cost.kl_mean += kl;
      cost.kl_max = Math.max(cost.kl_max, kl);
      const [likeliest, other] = [argmax(p), argmax(q)];
      if (likeliest === other) continue;
      differ++;
      cost.lead_max = Math.max(cost.lead_max, Math.exp(p[likeliest]) - Math.exp(p[other]));
    }
  }
  cost.argmax_differs += differ;
  if (differ > 0) cost.continuations_differ++;
}

/** Replaces the engine's state by what the codec gives back of it. */
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

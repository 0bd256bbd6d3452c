/**
 * What `bench` times of an engine: decoding, reading prompts, moving states. Rounds take all cases
 * in turn, so that what disturbs the machine for a while disturbs all of them alike.
 */

import type { Engine } from "../engine/engine.ts";
import { feed } from "../engine/feed.ts";

/** Where `--tokens` is not given, a round decodes this many tokens a slot, or for this long. */
const DEFAULT_DECODE = { tokens: 64, seconds: 2 };

/** Median, least and most over rounds. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Plan {
  /** Slots that decode at once, by case. */
  batches: readonly number[];
  /** Tokens of a prompt, by case. */
  prompts: readonly number[];
  /** Tokens to decode in each slot and round; by count and time if undefined. */
  tokens: number | undefined;
  rounds: number;
}

export interface Timings {
  /** `rate`: tokens per second, over all slots. */
  decode: { batch: number; rate: Spread }[];
  /** `rate`: tokens per second; `first`: seconds until the first token of a reply is known. */
  prefill: { tokens: number; rate: Spread; first: Spread }[];
  /** `read`, `write`: milliseconds of one call; a write has then been handed to the device. */
  state: { bytes: number; read: Spread; write: Spread };
}

/** Times every case once in every round, after each was run a little to warm up. */
export async function timeEngine(
  engine: Engine,
  { batches, prompts, tokens, rounds }: Plan,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<Timings> {
  const decode = batches.map((batch) => ({ batch, rates: [] as number[] }));
  const prefill = prompts.map((length) => ({
    prompt: someTokens(engine, length),
    rates: [] as number[],
    firsts: [] as number[],
  }));
  const reads: number[] = [], writes: number[] = [];
  const total = (decode.length + prefill.length + 1) * (rounds + 1);
  let done = 0;
  const count = () => onProgress(++done, total);

  for (const { batch } of decode) {
    await decodeRate(engine, { batch, tokens: 1 });
    count();
  }
  for (const { prompt } of prefill) {
    await readPrompt(engine, prompt.slice(0, engine.info.maxStepTokens));
    count();
  }
  await moveState(engine);
  count();
  let bytes = 0;
  for (let round = 0; round < rounds; round++) {
    for (const { batch, rates } of decode) {
      rates.push(await decodeRate(engine, { batch, tokens }));
      count();
    }
    for (const { prompt, rates, firsts } of prefill) {
      const { fed, first } = await readPrompt(engine, prompt);
      rates.push(prompt.length / fed);
      firsts.push(first);
      count();
    }
    const moved = await moveState(engine);
    reads.push(moved.read);
    writes.push(moved.write);
    bytes = moved.bytes;
    count();
  }
  return {
    decode: decode.map(({ batch, rates }) => ({ batch, rate: spread(rates) })),
    prefill: prefill.map(({ prompt, rates, firsts }) => ({
      tokens: prompt.length,
      rate: spread(rates),
      first: spread(firsts),
    })),
    state: { bytes, read: spread(reads), write: spread(writes) },
  };
}

/** Median, least and most of at least one value, to four digits. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { median: digits(median), min: digits(sorted[0]), max: digits(sorted.at(-1)!) };
}

/** Four digits, which is more than timings are good for. */
export function digits(value: number): number {
  return Number(value.toPrecision(4));
}

/** Tokens per second of `batch` slots, each fed the token that its logits like best. */
async function decodeRate(
  engine: Engine,
  { batch, tokens }: { batch: number; tokens: number | undefined },
): Promise<number> {
  const next = someTokens(engine, batch);
  const limit = tokens ?? DEFAULT_DECODE.tokens;
  const start = performance.now();
  let steps = 0;
  do {
    const logits = await engine.step(
      next.map((token, slot) => ({ slot, tokens: [token], logits: "last" })),
    );
    logits.forEach((row, slot) => next[slot] = likeliest(row));
    steps++;
  } while (
    steps < limit && (tokens !== undefined || since(start) < DEFAULT_DECODE.seconds)
  );
  return steps * batch / since(start);
}

/** Seconds until a prompt's logits are here, and until the likeliest token is found in them. */
async function readPrompt(
  engine: Engine,
  prompt: readonly number[],
): Promise<{ fed: number; first: number }> {
  await engine.writeState(0, null);
  const start = performance.now();
  const logits = await feed(engine, prompt, { slot: 0, logits: "last" });
  const fed = since(start);
  likeliest(logits);
  return { fed, first: since(start) };
}

/** Milliseconds to read the state of a slot, and to write it back. */
async function moveState(engine: Engine): Promise<{ bytes: number; read: number; write: number }> {
  const start = performance.now();
  const state = await engine.readState(0);
  const read = since(start) * 1000;
  const middle = performance.now();
  await engine.writeState(0, state);
  return { bytes: state.byteLength, read, write: since(middle) * 1000 };
}

/** Ids that the model has, the same every time. */
function someTokens({ info }: Engine, count: number): number[] {
  const { vocabulary } = info.dimensions;
  return Array.from({ length: count }, (_, i) => (1 + i * 7919) % vocabulary);
}

/** Id of the largest logit. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

function since(start: number): number {
  return (performance.now() - start) / 1000;
}

/**
 * What `bench` times of an engine: decoding, reading prompts, moving states. Rounds take all cases
 * in turn, so that what disturbs the machine for a while disturbs all of them alike.
 */

import { NEUTRAL_SAMPLING } from "../core/sampling.ts";
import type { Engine, SamplingEngine } from "../engine/engine.ts";
import { StepController, StepCosts } from "../scheduler/step_controller.ts";

/** Where `--tokens` is not given, a round decodes this many tokens a slot, or for this long. */
const DEFAULT_DECODE = { tokens: 64, seconds: 2 };

/** Median, least and most over rounds. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface BenchmarkPlan {
  /** Slots that decode at once, by case. */
  batches: readonly number[];
  /** Tokens of a prompt, by case. */
  prompts: readonly number[];
  /** Tokens to decode in each slot and round; by count and time if undefined. */
  tokens: number | undefined;
  rounds: number;
}

export interface BenchmarkTimings {
  /** `rate`: tokens per second, over all slots. */
  decode: { batch: number; rate: Spread }[];
  /** `rate`: tokens per second; `first`: seconds until the first token of a reply is known. */
  prefill: { tokens: number; rate: Spread; first: Spread }[];
  /** `read`, `write`: milliseconds of one call; a write has then been handed to the device. */
  state: { bytes: number; read: Spread; write: Spread };
}

/** Greedy, without an end. */
const SAMPLING = {
  params: { ...NEUTRAL_SAMPLING, temperature: 0, seed: 0n },
  counts: new Map(),
  position: 0,
  maxTokens: 1e6,
  endToken: null,
  stops: null,
};

/** Times every case once in every round, after each was run a little to warm up. */
export async function timeEngine(
  engine: SamplingEngine,
  { batches, prompts, tokens, rounds }: BenchmarkPlan,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<BenchmarkTimings> {
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
    await timeToFirstToken(engine, prompt.slice(0, engine.info.maxStepTokens));
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
      const first = await timeToFirstToken(engine, prompt);
      rates.push(prompt.length / first);
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
    decode: decode.map(({ batch, rates }) => ({ batch, rate: summarize(rates) })),
    prefill: prefill.map(({ prompt, rates, firsts }) => ({
      tokens: prompt.length,
      rate: summarize(rates),
      first: summarize(firsts),
    })),
    state: { bytes, read: summarize(reads), write: summarize(writes) },
  };
}

/** Median, least and most of at least one value, to four digits. */
export function summarize(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return {
    median: roundToFourDigits(median),
    min: roundToFourDigits(sorted[0]),
    max: roundToFourDigits(sorted.at(-1)!),
  };
}

/** Four digits, which is more than timings are good for. */
export function roundToFourDigits(value: number): number {
  return Number(value.toPrecision(4));
}

/** Tokens per second of `batch` slots. */
async function decodeRate(
  engine: SamplingEngine,
  { batch, tokens }: { batch: number; tokens: number | undefined },
): Promise<number> {
  await startSlots(engine, someTokens(engine, batch).map((token) => [token]));
  const { seconds, steps } = await decode(engine, {
    batch,
    tokens: tokens ?? DEFAULT_DECODE.tokens,
    ...(tokens === undefined ? { within: DEFAULT_DECODE.seconds } : {}),
  });
  return steps * batch / seconds;
}

/** Lets slots sample greedily, each behind a prompt; all prompts fit into one step. */
export async function startSlots(
  engine: SamplingEngine,
  prompts: readonly (readonly number[])[],
): Promise<void> {
  for (const slot of prompts.keys()) {
    await engine.writeState(slot, null);
    await engine.startSampling(slot, SAMPLING);
  }
  await engine.generate(prompts.map((tokens, slot) => ({ slot, tokens, sample: true })), 1);
}

/**
 * Goes on with the first `batch` slots for `tokens` tokens each, or for about `within` seconds, as
 * the scheduler does: a window is called for while the one before is read.
 */
export async function decode(
  engine: SamplingEngine,
  { batch, tokens, within = Infinity }: { batch: number; tokens: number; within?: number },
): Promise<{ seconds: number; steps: number }> {
  const runs = Array.from({ length: batch }, (_, slot) => ({ slot, tokens: [], sample: true }));
  const pace = new StepController(engine, new StepCosts());
  const ahead: { steps: number; landed: Promise<unknown> }[] = [];
  const start = performance.now();
  let steps = 0;
  let last = start;
  while (true) {
    while (ahead.length < 2 && steps < tokens && since(start) < within) {
      const count = Math.min(pace.windowSteps(batch), tokens - steps);
      ahead.push({ steps: count, landed: engine.generate(runs, count) });
      steps += count;
    }
    const first = ahead.shift();
    if (!first) return { seconds: since(start), steps };
    await first.landed;
    pace.decodeCompleted(first.steps, batch, performance.now() - last);
    last = performance.now();
  }
}

/** Seconds until the first token behind a prompt is known. */
export async function timeToFirstToken(
  engine: SamplingEngine,
  prompt: readonly number[],
): Promise<number> {
  await engine.writeState(0, null);
  await engine.startSampling(0, SAMPLING);
  const start = performance.now();
  const size = engine.info.maxStepTokens;
  const chunks = Array.from(
    { length: Math.ceil(prompt.length / size) },
    (_, i) => prompt.slice(i * size, (i + 1) * size),
  );
  await Promise.all(
    chunks.map((tokens, i) =>
      engine.generate([{ slot: 0, tokens, sample: i === chunks.length - 1 }], 1)
    ),
  );
  return since(start);
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

function since(start: number): number {
  return (performance.now() - start) / 1000;
}

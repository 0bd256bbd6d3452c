/**
 * The benchmark cases for an engine: decoding, prefill, and state transfer. Every round runs all
 * cases, so a temporary disturbance of the machine affects all of them.
 */

import { NEUTRAL_SAMPLING } from "../core/sampling.ts";
import type { Engine, SamplingEngine } from "../engine/engine.ts";
import { StepController, StepCosts } from "../scheduler/step_controller.ts";

/** Limits of a decoding round without `--tokens`; the first one that is reached ends the round. */
const DEFAULT_DECODE = { tokens: 64, seconds: 2 };

/** Median, minimum and maximum over the rounds. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface BenchmarkPlan {
  /** Batch sizes to decode with, one case each. */
  batches: readonly number[];
  /** Prompt lengths in tokens, one case each. */
  prompts: readonly number[];
  /** Tokens to decode per slot and round. `undefined` uses `DEFAULT_DECODE`. */
  tokens: number | undefined;
  rounds: number;
}

export interface BenchmarkTimings {
  /** `rate`: tokens per second over all slots. */
  decode: { batch: number; rate: Spread }[];
  /** `rate`: tokens per second. `first`: seconds to the first token of the reply. */
  prefill: { tokens: number; rate: Spread; first: Spread }[];
  /** `read`, `write`: milliseconds per call. A write returns when the device has accepted it. */
  state: { bytes: number; read: Spread; write: Spread };
}

/** Greedy sampling without an end token. */
const SAMPLING = {
  params: { ...NEUTRAL_SAMPLING, temperature: 0, seed: 0n },
  counts: new Map(),
  position: 0,
  maxTokens: 1e6,
  endToken: null,
  stops: null,
};

/** Runs every case once per round, after a short warm-up run of each. */
export async function timeEngine(
  engine: SamplingEngine,
  { batches, prompts, tokens, rounds }: BenchmarkPlan,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<BenchmarkTimings> {
  const decode = batches.map((batch) => ({ batch, rates: [] as number[] }));
  const prefill = prompts.map((length) => ({
    prompt: sampleTokens(engine, length),
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
  await timeStateTransfer(engine);
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
    const transfer = await timeStateTransfer(engine);
    reads.push(transfer.read);
    writes.push(transfer.write);
    bytes = transfer.bytes;
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

/** Returns median, minimum and maximum of a non-empty list, rounded to four digits. */
export function summarize(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const median = (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
  return {
    median: roundToFourDigits(median),
    min: roundToFourDigits(sorted[0]),
    max: roundToFourDigits(sorted.at(-1)!),
  };
}

/** Rounds to four significant digits, which exceeds the precision of the timings. */
export function roundToFourDigits(value: number): number {
  return Number(value.toPrecision(4));
}

/** Decodes with `batch` slots and returns tokens per second. */
async function decodeRate(
  engine: SamplingEngine,
  { batch, tokens }: { batch: number; tokens: number | undefined },
): Promise<number> {
  await startSlots(engine, sampleTokens(engine, batch).map((token) => [token]));
  const { seconds, steps } = await decode(engine, {
    batch,
    tokens: tokens ?? DEFAULT_DECODE.tokens,
    ...(tokens === undefined ? { timeoutSeconds: DEFAULT_DECODE.seconds } : {}),
  });
  return steps * batch / seconds;
}

/** Starts greedy sampling in one slot per prompt. All prompts must fit into one step. */
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
 * Decodes `tokens` tokens in each of the first `batch` slots, or for about `timeoutSeconds`. As in
 * the scheduler, the next window is submitted before the previous one has completed.
 */
export async function decode(
  engine: SamplingEngine,
  { batch, tokens, timeoutSeconds = Infinity }: {
    batch: number;
    tokens: number;
    timeoutSeconds?: number;
  },
): Promise<{ seconds: number; steps: number }> {
  const runs = Array.from({ length: batch }, (_, slot) => ({ slot, tokens: [], sample: true }));
  const controller = new StepController(engine, new StepCosts());
  const inFlight: { steps: number; completed: Promise<unknown> }[] = [];
  const start = performance.now();
  let steps = 0;
  let last = start;
  while (true) {
    while (inFlight.length < 2 && steps < tokens && secondsSince(start) < timeoutSeconds) {
      const count = Math.min(controller.windowSteps(batch), tokens - steps);
      inFlight.push({ steps: count, completed: engine.generate(runs, count) });
      steps += count;
    }
    const first = inFlight.shift();
    if (!first) return { seconds: secondsSince(start), steps };
    await first.completed;
    controller.decodeCompleted(first.steps, batch, performance.now() - last);
    last = performance.now();
  }
}

/** Returns the seconds until the first token after a prompt is known. */
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
  return secondsSince(start);
}

/** Returns the milliseconds to read a slot's state and to write it back. */
async function timeStateTransfer(
  engine: Engine,
): Promise<{ bytes: number; read: number; write: number }> {
  const start = performance.now();
  const state = await engine.readState(0);
  const read = secondsSince(start) * 1000;
  const writeStart = performance.now();
  await engine.writeState(0, state);
  return { bytes: state.byteLength, read, write: secondsSince(writeStart) * 1000 };
}

/** Returns token ids of the model's vocabulary, the same ones on every run. */
function sampleTokens({ info }: Engine, count: number): number[] {
  const { vocabulary } = info.dimensions;
  return Array.from({ length: count }, (_, i) => (1 + i * 7919) % vocabulary);
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}

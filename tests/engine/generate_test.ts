import assert from "node:assert/strict";
import { DEMO_MODEL, findModel, openModelTokenizer } from "../../src/model_files/find_model.ts";
import { openEngine } from "../../src/server/open_engine.ts";
import { NEUTRAL_SAMPLING, type SamplingParams } from "../../src/core/sampling.ts";
import type { SamplingEngine, SlotSampling } from "../../src/engine/engine.ts";
import { createStopSearch } from "../../src/core/stop_search.ts";
import { recordToken } from "../../src/sampler/penalties.ts";
import { CpuSamplingEngine } from "../../src/scheduler/cpu_sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { GenerationRequest } from "../../src/scheduler/scheduler_types.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";
import { caseCount, QUICK } from "../support/quick.ts";
import { assertSameNumbers } from "../support/same_numbers.ts";

const files = await findModel({ model: DEMO_MODEL });
const tokenizer = await openModelTokenizer(files);
const TOKENS = tokenTable(tokenizer);

const PROMPTS = [
  "User: Tell me a story about a cat.\n\nAssistant:",
  "User: What is 4 + 5?\n\nAssistant: 4 plus 5 is 9.\n\nUser: and 2 + 2?\n\nAssistant:",
].map((text) => tokenizer.encode(text));

const GREEDY: SamplingParams = { ...NEUTRAL_SAMPLING, temperature: 0, seed: 5n };

/** Tokens of a reply that only the limit ends. */
const MAX_TOKENS = caseCount(60, 40);

function open(slots: number): Promise<SamplingEngine> {
  return openEngine({
    source: files.source,
    device: "webgpu",
    quant: "f16",
    slots,
    maxStepTokens: 128,
    tokens: TOKENS,
  });
}

let shared: Promise<SamplingEngine> | undefined;

/** Opens the engine shared by all tests that need few slots. */
function sharedEngine(): Promise<SamplingEngine> {
  return shared ??= open(5);
}

function sampling(params: Partial<SamplingParams> = {}): SlotSampling {
  return {
    params: { ...GREEDY, ...params },
    counts: new Map(),
    position: 0,
    maxTokens: MAX_TOKENS,
    endToken: null,
    stops: null,
  };
}

interface DecodedReply {
  tokens: number[];
  end: string;
  state: Float32Array;
}

function assertSameReply(
  { state, ...generated }: DecodedReply,
  { state: expectedState, ...expected }: DecodedReply,
  what: string,
) {
  assert.deepEqual(generated, expected, what);
  assertSameNumbers(state, expectedState, what);
}

interface Reply extends SlotSampling {
  prompt: readonly number[];
}

/** Returns the reply and the final state of slot 0 for a prompt, in windows of `steps` steps. */
async function generateReply(
  engine: SamplingEngine,
  { steps, ...reply }: Reply & { steps: number },
): Promise<DecodedReply> {
  return (await generateTogether(engine, [reply], steps))[0];
}

/** Returns the replies and final states of slots 0, 1, … that decode together. */
async function generateTogether(
  engine: SamplingEngine,
  replies: readonly Reply[],
  steps = 1,
): Promise<DecodedReply[]> {
  const generated: { slot: number; tokens: number[]; end: string | null }[] = [];
  for (const [slot, { prompt, ...rest }] of replies.entries()) {
    await engine.writeState(slot, null);
    await engine.startSampling(slot, rest);
    const [first] = await engine.generate([{ slot, tokens: prompt, sample: true }], 1);
    generated.push({ slot, tokens: [...first.tokens], end: first.finishReason });
  }
  while (true) {
    const unfinished = generated.filter(({ end }) => end === null);
    if (unfinished.length === 0) break;
    const runs = unfinished.map(({ slot }) => ({ slot, tokens: [], sample: true }));
    for (const [i, next] of (await engine.generate(runs, steps)).entries()) {
      unfinished[i].tokens.push(...next.tokens);
      unfinished[i].end = next.finishReason;
    }
  }
  return await Promise.all(
    generated.map(async ({ slot, tokens, end }) => (
      { tokens, end: end!, state: await engine.readState(slot) }
    )),
  );
}

Deno.test("tokens and state match the CPU-sampled path, in windows of any length", async () => {
  const engine = await sharedEngine();
  const oracle = new CpuSamplingEngine(engine, TOKENS);
  const cases: Partial<SamplingParams>[] = [
    {},
    { presencePenalty: 0.6, frequencyPenalty: 0.4, penaltyDecay: 0.98 },
    { temperature: 1 },
    { temperature: 0.8, topP: 0.9, topK: 50, frequencyPenalty: 0.5, seed: 2n ** 63n + 9n },
    { temperature: 1.3, topP: 0.6, logitBias: new Map([[300, 4], [11, -3]]) },
  ];
  const replies = () =>
    cases.map((params, i): Reply => ({ prompt: PROMPTS[i % 2], ...sampling(params) }));
  const expected = await generateTogether(oracle, replies());
  for (const { tokens } of expected) assert.equal(tokens.length, MAX_TOKENS);
  for (const [i, generated] of (await generateTogether(engine, replies())).entries()) {
    assertSameReply(generated, expected[i], `case ${i}, together`);
  }
  for (const [i, reply] of replies().entries()) {
    if (QUICK && i % 2 === 0) continue;
    for (const steps of QUICK ? [7, 64] : [1, 7, 64]) {
      const generated = await generateReply(engine, { ...reply, counts: new Map(), steps });
      assertSameReply(generated, expected[i], `case ${i}, ${steps} steps`);
    }
  }
});

Deno.test("a reply continued in another slot is bit-identical, including stop strings", async () => {
  const engine = await sharedEngine();
  const [prompt] = PROMPTS;
  const own = sampling({
    temperature: 1,
    presencePenalty: 0.4,
    frequencyPenalty: 0.2,
    penaltyDecay: 0.98,
  });
  const { tokens } = await generateReply(engine, { ...own, prompt, steps: 8 });
  const at = 20;
  // The stop string begins in one slot and ends in the other.
  const stop = tokenizer.decode(tokens.slice(at - 2, at + 3));
  const stops = createStopSearch({
    strings: [stop],
    precedingBytes: new Uint8Array(),
    unsearchedBytes: 0,
  });
  const expected = await generateReply(engine, { ...own, stops, prompt, steps: 8 });
  assert.deepEqual([expected.end, expected.tokens.length], ["stop", at + 3]);
  const first = await generateReply(engine, { ...own, stops, prompt, maxTokens: at, steps: 8 });
  const counts = new Map<number, number>();
  for (const token of first.tokens) recordToken(counts, token, own.params.penaltyDecay);
  const slot = 3;
  await engine.writeState(slot, first.state);
  const limit = MAX_TOKENS - at;
  const rest = {
    ...own,
    stops,
    counts,
    position: at,
    maxTokens: limit,
    alreadySampled: first.tokens,
  };
  const prefixBits = stops.prefixBits.slice();
  await engine.startSampling(slot, rest);
  assert.deepEqual(stops.prefixBits, prefixBits, "the search passed in is not modified");
  let [next] = await engine.generate([{ slot, tokens: first.tokens.slice(-1), sample: true }], 1);
  const generated = [...first.tokens, ...next.tokens];
  while (next.finishReason === null) {
    [next] = await engine.generate([{ slot, tokens: [], sample: true }], 4);
    generated.push(...next.tokens);
  }
  const state = await engine.readState(slot);
  assertSameReply({ tokens: generated, end: next.finishReason, state }, expected, "in two slots");
});

Deno.test("a turn that ends within a window leaves the state its last token was sampled from", async () => {
  const engine = await sharedEngine();
  const oracle = new CpuSamplingEngine(engine, TOKENS);
  const [prompt] = PROMPTS;
  const { tokens } = await generateReply(oracle, { prompt, steps: 1, ...sampling() });
  const text = (from: number, to: number) => tokenizer.decode(tokens.slice(from, to));
  const fresh = tokens.findIndex((token, i) => i > 10 && tokens.indexOf(token) === i);
  const ends: [string, () => Partial<SlotSampling>][] = [
    ["limit", () => ({ maxTokens: 13 })],
    ["end token", () => ({ endToken: tokens[fresh] })],
    ["stop string", () => ({
      stops: createStopSearch({
        strings: [new TextEncoder().encode("\n\n"), text(14, 18).subarray(1)],
        precedingBytes: new Uint8Array(),
        unsearchedBytes: 0,
      }),
    })],
  ];
  const expected = await generateTogether(
    oracle,
    ends.map(([, end]) => ({ prompt, ...sampling(), ...end() })),
  );
  for (const [i, [what, end]] of ends.entries()) {
    const { length } = expected[i].tokens;
    assert.ok(length > 5 && length < 40, `${length}`);
    for (const steps of [4, 64]) {
      const generated = await generateReply(engine, { prompt, steps, ...sampling(), ...end() });
      assertSameReply(generated, expected[i], `${what}, ${steps} steps`);
    }
  }
});

/** Runs turns that start one after the other, each with its own sampling settings by its number. */
async function turns(engine: SamplingEngine, numbers: readonly number[]) {
  const scheduler = new Scheduler(engine);
  return await Promise.all(
    numbers.map(async (i) => {
      const work: GenerationRequest = {
        state: null,
        tokens: PROMPTS[i % 2].slice(i % 5),
        sampling: { ...GREEDY, temperature: i % 3, topP: 0.9, seed: BigInt(i) },
        counts: new Map(),
        position: i,
        maxTokens: caseCount(10, 5) + 7 * i % caseCount(40, 20),
        endToken: 0,
        stops: null,
      };
      for (let tick = 0; tick < i % 7; tick++) await engine.readState(0);
      const generation = scheduler.submit(work);
      const tokens: number[] = [];
      for await (const batch of generation) tokens.push(...batch.tokens);
      return { tokens, counts: [...work.counts], ...await generation.finished };
    }),
  );
}

Deno.test("a reply is the same alone and in a batch of 32 turns that join and leave", async () => {
  const engine = await open(32);
  const numbers = Array.from({ length: 32 }, (_, i) => i);
  const inBatch = await turns(engine, numbers);
  await engine.close();
  const one = await open(1);
  const compared = QUICK ? numbers.filter((i) => i % 5 === 0) : numbers;
  const alone = await turns(one, compared);
  await one.close();
  for (const [k, { state: expectedState, ...expected }] of alone.entries()) {
    const { state, ...turn } = inBatch[compared[k]];
    assert.deepEqual(turn, expected, `turn ${compared[k]}`);
    assertSameNumbers(state!, expectedState!, `turn ${compared[k]}`);
  }
});

Deno.test("a new turn in a slot is unaffected by the previous one", async () => {
  const engine = await sharedEngine();
  const [prompt] = PROMPTS;
  const fresh = await generateReply(engine, { prompt, steps: 8, ...sampling() });
  const { length } = fresh.state;
  const poison: Partial<SlotSampling> = {
    params: {
      ...GREEDY,
      temperature: 1,
      presencePenalty: 2,
      frequencyPenalty: 2,
      logitBias: new Map(fresh.tokens.map((token) => [token, -100])),
    },
    counts: new Map(fresh.tokens.map((token) => [token, 50])),
    stops: createStopSearch({
      strings: [new TextEncoder().encode("e")],
      precedingBytes: new TextEncoder().encode("e"),
      unsearchedBytes: 1,
    }),
    endToken: fresh.tokens[3],
    position: 77,
    maxTokens: 5,
  };
  for (const previousSteps of [1, 3]) {
    await engine.writeState(0, new Float32Array(length).fill(1e20));
    await engine.startSampling(0, { ...sampling(), ...poison });
    for (let step = 0; step < previousSteps; step++) {
      await engine.generate([{ slot: 0, tokens: [5, 6], sample: true }], 1);
    }
    assertSameReply(
      await generateReply(engine, { prompt, steps: 8, ...sampling() }),
      fresh,
      "after another turn",
    );
  }
});

Deno.test("windows requested ahead run in order", async () => {
  const engine = await sharedEngine();
  const [prompt] = PROMPTS;
  const expected = await generateReply(engine, { prompt, steps: 5, ...sampling() });
  await engine.writeState(1, null);
  const calls = [
    engine.startSampling(1, sampling()),
    engine.generate([{ slot: 1, tokens: prompt.slice(0, 5), sample: false }], 1),
    engine.generate([{ slot: 1, tokens: prompt.slice(5), sample: true }], 1),
    ...Array.from(
      { length: 20 },
      (_, i) => engine.generate([{ slot: 1, tokens: [], sample: true }], 1 + i % 5),
    ),
  ];
  const state = engine.readState(1);
  const generated = (await Promise.all(calls)).flatMap((result) => result?.[0].tokens ?? []);
  assert.deepEqual(generated, expected.tokens);
  assertSameNumbers(await state, expected.state);
});

Deno.test("invalid calls are rejected", async () => {
  const engine = await sharedEngine();
  const go = { slot: 0, tokens: [], sample: true };
  const refused: [Promise<unknown>, RegExp][] = [
    [engine.generate([go], 65), /65 steps/],
    [engine.generate([go], 0), /0 steps/],
    [engine.generate([go, { slot: 1, tokens: [1], sample: true }], 2), /slot 1/],
    [engine.generate([go, go], 1), /slot 0 twice/],
    [engine.generate([{ ...go, slot: 5 }], 1), /slot 5/],
    [engine.startSampling(0, { ...sampling(), maxTokens: 0 }), /0 tokens/],
    [engine.startSampling(0, { ...sampling(), endToken: 1e6 }), /token 1000000/],
  ];
  for (const [call, message] of refused) await assert.rejects(call, message);
});

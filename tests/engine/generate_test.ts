import assert from "node:assert/strict";
import { DEMO_MODEL, findModel, modelTokenizer } from "../../src/cli/model_files.ts";
import { openEngine } from "../../src/cli/open_engine.ts";
import { PLAIN_SAMPLING, type SamplingParams } from "../../src/core/sampling.ts";
import type { SamplingEngine, SlotSampling } from "../../src/engine/engine.ts";
import { startSearch } from "../../src/sampler/stop_search.ts";
import { CpuSampling } from "../../src/scheduler/cpu_sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { TurnWork } from "../../src/scheduler/scheduler_types.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";
import { sameNumbers } from "../same_numbers.ts";

const files = await findModel({ model: DEMO_MODEL });
const tokenizer = await modelTokenizer(files);
const TOKENS = tokenTable(tokenizer);

const PROMPTS = [
  "User: Tell me a story about a cat.\n\nAssistant:",
  "User: What is 4 + 5?\n\nAssistant: 4 plus 5 is 9.\n\nUser: and 2 + 2?\n\nAssistant:",
].map((text) => tokenizer.encode(text));

const GREEDY: SamplingParams = { ...PLAIN_SAMPLING, temperature: 0, seed: 5n };

function open(slots: number, maxStepTokens = 64): Promise<SamplingEngine> {
  return openEngine({
    source: files.source,
    device: "webgpu",
    quant: "f16",
    slots,
    maxStepTokens,
    tokens: TOKENS,
  });
}

function sampling(params: Partial<SamplingParams> = {}): SlotSampling {
  return {
    params: { ...GREEDY, ...params },
    counts: new Map(),
    position: 0,
    limit: 60,
    endToken: null,
    stops: null,
  };
}

interface Written {
  tokens: number[];
  end: string;
  state: Float32Array;
}

function sameWritten(
  { state, ...written }: Written,
  { state: wantedState, ...wanted }: Written,
  what: string,
) {
  assert.deepEqual(written, wanted, what);
  sameNumbers(state, wantedState, what);
}

/** What slot 0 writes after a prompt, in windows of `steps`, and the state it is left with. */
async function write(
  engine: SamplingEngine,
  { prompt, steps, ...rest }: { prompt: readonly number[]; steps: number } & SlotSampling,
): Promise<Written> {
  await engine.writeState(0, null);
  await engine.startSampling(0, rest);
  const [first] = await engine.generate([{ slot: 0, tokens: prompt, sample: true }], 1);
  const tokens = [...first.tokens];
  let { end } = first;
  while (end === null) {
    const [next] = await engine.generate([{ slot: 0, tokens: [], sample: true }], steps);
    tokens.push(...next.tokens);
    end = next.end;
  }
  return { tokens, end, state: await engine.readState(0) };
}

Deno.test("text and state are those of the CPU-sampled path, in windows of any length", async () => {
  const engine = await open(1);
  const oracle = new CpuSampling(engine, TOKENS);
  const cases: Partial<SamplingParams>[] = [
    {},
    { presencePenalty: 0.6, frequencyPenalty: 0.4, penaltyDecay: 0.98 },
    { temperature: 1 },
    { temperature: 0.8, topP: 0.9, topK: 50, frequencyPenalty: 0.5, seed: 2n ** 63n + 9n },
    { temperature: 1.3, topP: 0.6, logitBias: new Map([[300, 4], [11, -3]]) },
  ];
  for (const [i, params] of cases.entries()) {
    const prompt = PROMPTS[i % 2];
    const wanted = await write(oracle, { prompt, steps: 1, ...sampling(params) });
    assert.equal(wanted.tokens.length, 60);
    for (const steps of [1, 7, 64]) {
      const written = await write(engine, { prompt, steps, ...sampling(params) });
      sameWritten(written, wanted, `case ${i}, ${steps} at once`);
    }
  }
  await engine.close();
});

Deno.test("a turn that ends inside of a window leaves the state that its last token came from", async () => {
  const engine = await open(1);
  const oracle = new CpuSampling(engine, TOKENS);
  const [prompt] = PROMPTS;
  const { tokens } = await write(oracle, { prompt, steps: 1, ...sampling() });
  const text = (from: number, to: number) => tokenizer.decode(tokens.slice(from, to));
  const fresh = tokens.findIndex((token, i) => i > 10 && tokens.indexOf(token) === i);
  const ends: [string, () => Partial<SlotSampling>][] = [
    ["limit", () => ({ limit: 13 })],
    ["end token", () => ({ endToken: tokens[fresh] })],
    ["stop string", () => ({
      stops: startSearch({
        strings: [new TextEncoder().encode("\n\n"), text(14, 18).subarray(1)],
        before: new Uint8Array(),
        unsearched: 0,
      }),
    })],
  ];
  for (const [what, end] of ends) {
    const wanted = await write(oracle, { prompt, steps: 1, ...sampling(), ...end() });
    assert.ok(wanted.tokens.length > 5 && wanted.tokens.length < 40, `${wanted.tokens.length}`);
    for (const steps of [4, 64]) {
      const written = await write(engine, { prompt, steps, ...sampling(), ...end() });
      sameWritten(written, wanted, `${what}, ${steps} at once`);
    }
  }
  await engine.close();
});

/** Turns that start one after the other, each with sampling of its own. */
async function turns(engine: SamplingEngine, count: number) {
  const scheduler = new Scheduler(engine);
  return await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const work: TurnWork = {
        state: null,
        tokens: PROMPTS[i % 2].slice(i % 5),
        sampling: { ...GREEDY, temperature: i % 3, topP: 0.9, seed: BigInt(i) },
        counts: new Map(),
        position: i,
        maxTokens: 10 + 7 * i % 40,
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

Deno.test("a reply is the same alone and among 32 that join and leave", async () => {
  const engine = await open(32, 128);
  const among = await turns(engine, 32);
  await engine.close();
  const one = await open(1, 128);
  const alone = await turns(one, 32);
  await one.close();
  for (const [i, { state, ...turn }] of among.entries()) {
    const { state: wantedState, ...wanted } = alone[i];
    assert.deepEqual(turn, wanted, `turn ${i}`);
    sameNumbers(state!, wantedState!, `turn ${i}`);
  }
});

Deno.test("nothing of a turn before is left in a slot", async () => {
  const engine = await open(1);
  const [prompt] = PROMPTS;
  const fresh = await write(engine, { prompt, steps: 8, ...sampling() });
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
    stops: startSearch({
      strings: [new TextEncoder().encode("e")],
      before: new TextEncoder().encode("e"),
      unsearched: 1,
    }),
    endToken: fresh.tokens[3],
    position: 77,
    limit: 5,
  };
  for (const left of [1, 3]) {
    await engine.writeState(0, new Float32Array(length).fill(1e20));
    await engine.startSampling(0, { ...sampling(), ...poison });
    for (let step = 0; step < left; step++) {
      await engine.generate([{ slot: 0, tokens: [5, 6], sample: true }], 1);
    }
    sameWritten(await write(engine, { prompt, steps: 8, ...sampling() }), fresh, "after another");
  }
  await engine.close();
});

Deno.test("windows that are called for ahead follow each other", async () => {
  const engine = await open(2);
  const [prompt] = PROMPTS;
  const wanted = await write(engine, { prompt, steps: 5, ...sampling() });
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
  const written = (await Promise.all(calls)).flatMap((result) => result?.[0].tokens ?? []);
  assert.deepEqual(written, wanted.tokens);
  sameNumbers(await state, wanted.state);
  await engine.close();
});

Deno.test("what a slot can't do is refused", async () => {
  const engine = await open(2);
  const go = { slot: 0, tokens: [], sample: true };
  const refused: [Promise<unknown>, RegExp][] = [
    [engine.generate([go], 65), /65 steps/],
    [engine.generate([go], 0), /0 steps/],
    [engine.generate([go, { slot: 1, tokens: [1], sample: true }], 2), /slot 1/],
    [engine.generate([go, go], 1), /slot 0 twice/],
    [engine.generate([{ ...go, slot: 2 }], 1), /slot 2/],
    [engine.startSampling(0, { ...sampling(), limit: 0 }), /0 tokens/],
    [engine.startSampling(0, { ...sampling(), endToken: 1e6 }), /token 1000000/],
  ];
  for (const [call, message] of refused) await assert.rejects(call, message);
  await engine.close();
});

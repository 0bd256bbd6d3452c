import assert from "node:assert/strict";
import { sample as sampleKernel } from "../../kernels/sample.ts";
import {
  BANNED_BIAS,
  FINISH,
  SAMPLED_HEADER,
  SLOT,
  SLOT_WORDS,
  STOPS_STRIDE,
} from "../../kernels/slot_layout.ts";
import { NEUTRAL_SAMPLING, type SamplingParams, type StopSearch } from "../../src/core/sampling.ts";
import { encodeSlot, encodeStopMasks } from "../../src/engine/gpu/sampling.ts";
import { recordToken } from "../../src/sampler/penalties.ts";
import { randomAt } from "../../src/sampler/random.ts";
import { sample } from "../../src/sampler/sampler.ts";
import { advanceStopSearch, createStopSearch } from "../../src/core/stop_search.ts";
import { caseCount, QUICK } from "../support/quick.ts";
import { floats, seeded } from "../support/random_data.ts";
import { runKernel } from "./run_kernel.ts";

const PLAIN: SamplingParams = { ...NEUTRAL_SAMPLING, seed: 0n };

const WINDOW = 4;
const SAMPLED = SAMPLED_HEADER + WINDOW;

interface Turn {
  logits: Float32Array;
  params?: Partial<SamplingParams>;
  counts?: ReadonlyMap<number, number>;
  position?: number;
  banned?: readonly number[];
  remaining?: number;
  endToken?: number;
  search?: StopSearch;
  active?: boolean;
}

interface Sampled {
  ids: number[];
  end: number;
  counts: Float32Array;
  words: Uint32Array;
}

/** Samples one token per turn in one dispatch; turn i is in slot `turns.length - 1 - i`. */
async function sampleOnDevice(
  turns: readonly Turn[],
  { lanes = 4, tokenBytes = () => new Uint8Array() }: {
    lanes?: number;
    tokenBytes?: (id: number) => Uint8Array;
  } = {},
): Promise<Sampled[]> {
  const vocabulary = turns[0].logits.length;
  const ids = Math.ceil(vocabulary / 4) * 4;
  const n = turns.length;
  const logits = new Float32Array(n * ids);
  const adjustments = new Float32Array(n * 2 * ids);
  const slots = new Uint32Array(n * SLOT_WORDS);
  // Large, and read only for turns with stop strings.
  const stops = new Uint32Array(turns.some(({ search }) => search) ? n * STOPS_STRIDE : 4);
  const rows = new Uint32Array(n * 4);
  turns.forEach((turn, i) => {
    const slot = n - 1 - i;
    const params = { ...PLAIN, ...turn.params };
    logits.set(turn.logits, i * ids);
    rows[i * 4 + 1] = slot;
    const bias = adjustments.subarray(slot * 2 * ids, (slot * 2 + 1) * ids);
    bias.fill(BANNED_BIAS, vocabulary);
    for (const [id, value] of params.logitBias) bias[id] = value;
    for (const id of turn.banned ?? []) bias[id] = BANNED_BIAS;
    for (const [id, count] of turn.counts ?? []) adjustments[(slot * 2 + 1) * ids + id] = count;
    const words = encodeSlot({
      params,
      counts: new Map(),
      position: turn.position ?? 0,
      maxTokens: turn.remaining ?? 100,
      endToken: turn.endToken ?? null,
      stops: turn.search ?? null,
    });
    if (turn.active === false) words[SLOT.active] = 0;
    slots.set(words, slot * SLOT_WORDS);
    if (turn.search) stops.set(encodeStopMasks(turn.search), slot * STOPS_STRIDE);
  });
  const result = await runKernel(sampleKernel, {
    logits,
    adjustments,
    slots,
    stops,
    vocabulary: vocabularyWords(vocabulary, tokenBytes),
    rows,
    outputRows: new Uint32Array(n).map((_, i) => i),
    sampled: new Uint32Array(n * SAMPLED),
  }, {
    sizes: { vocabulary, window: WINDOW, lanes },
    counts: { tokens: n, runs: n, outputs: n, gathered: 0 },
  });
  const sampled = new Uint32Array(result.sampled.buffer);
  const words = new Uint32Array(result.slots.buffer);
  return turns.map((_, i) => {
    const slot = n - 1 - i;
    const row = sampled.subarray(slot * SAMPLED, (slot + 1) * SAMPLED);
    return {
      ids: [...row.subarray(SAMPLED_HEADER, SAMPLED_HEADER + row[0])],
      end: row[1],
      counts: result.adjustments.slice((slot * 2 + 1) * ids, (slot * 2 + 1) * ids + vocabulary),
      words: words.slice(slot * SLOT_WORDS, (slot + 1) * SLOT_WORDS),
    };
  });
}

function vocabularyWords(size: number, tokenBytes: (id: number) => Uint8Array) {
  const all = Array.from({ length: size }, (_, id) => tokenBytes(id));
  const starts = [0];
  for (const { length } of all) starts.push(starts[starts.length - 1] + length);
  const bytes = new Uint8Array(Math.ceil(starts[size] / 4) * 4);
  all.forEach((token, id) => bytes.set(token, starts[id]));
  return Uint32Array.of(...starts, ...new Uint32Array(bytes.buffer));
}

/** Returns logits distributed like a model's: a few likely tokens and many unlikely ones. */
function modelLogits(length: number, seed: number): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return 3 * normal - 4;
  });
}

const SETTINGS = [1, 0.999, 0.9, 0.5, 0.01, 0].flatMap((topP) =>
  [0, 1, 5, 60].flatMap((topK) =>
    [0, 0.3, 1, 1.7].map((temperature) => ({ topP, topK, temperature }))
  )
);

/** Returns the CPU sampler's ids for random numbers within the error of float32 sums. */
function acceptableIds({ logits, params, counts, position = 0, banned }: Turn): Set<number> {
  const all = { ...PLAIN, ...params };
  const random = randomAt(all.seed, position);
  const bans = banned && Uint8Array.from(logits, (_, id) => banned.includes(id) ? 1 : 0);
  const ids = new Set<number>();
  for (const [shift, topP] of [[0, 0], [-1, 0], [1, 0], [0, 2e-7], [0, -2e-7]]) {
    const at = Math.min(Math.max(random + shift * 3e-6, 0), 1 - 2 ** -53);
    const params = { ...all, topP: all.topP + (all.topP < 1 ? topP : 0) };
    ids.add(sample(logits, params, counts ?? new Map(), at, bans ?? null));
  }
  return ids;
}

/** Vocabulary sizes; each compiles a different kernel. */
const QUICK_SIZES = [301, 65536];

for (const [vocabulary, lanes] of [[1, 4], [3, 1], [65, 2], [301, 4], [5000, 16], [65536, 4]]) {
  if (QUICK && !QUICK_SIZES.includes(vocabulary)) continue;
  Deno.test(`samples the same token as the CPU sampler, vocabulary ${vocabulary}`, async () => {
    const settings = vocabulary > 5000 ? SETTINGS.filter((_, i) => i % 5 === 0) : SETTINGS;
    const turns = settings.map((params, i): Turn => ({
      logits: modelLogits(vocabulary, i),
      params: { ...params, seed: 0x9e3779b97f4a7c15n * BigInt(i + 1) % 2n ** 64n },
      position: i % 3 === 0 ? 2 ** 32 + i : i,
    }));
    const sampled = await sampleOnDevice(turns, { lanes });
    let exact = 0;
    sampled.forEach(({ ids, end }, i) => {
      assert.equal(end, FINISH.none);
      assert.equal(ids.length, 1);
      const wanted = acceptableIds(turns[i]);
      assert.ok(wanted.has(ids[0]), `${JSON.stringify(settings[i])}: ${ids[0]}, ${[...wanted]}`);
      if (wanted.size === 1) exact++;
    });
    assert.ok(exact > 0.9 * turns.length, `${exact} of ${turns.length} were unambiguous`);
  });
}

Deno.test("bias, penalties, bans and decaying counts match the CPU sampler", async () => {
  const vocabulary = 203;
  const turns = Array.from({ length: 40 }, (_, i): Turn => {
    const random = seeded(i);
    const id = () => Math.floor(random() * vocabulary);
    return {
      logits: modelLogits(vocabulary, 100 + i),
      params: {
        temperature: i % 4 === 0 ? 0 : 1,
        topP: i % 3 === 0 ? 0.8 : 1,
        topK: i % 5 === 0 ? 7 : 0,
        presencePenalty: i % 2 === 0 ? 1.5 : 0,
        frequencyPenalty: 0.75,
        penaltyDecay: i % 7 === 0 ? 1 : 0.9,
        logitBias: new Map([[id(), 6], [id(), -3]]),
        seed: BigInt(i),
      },
      counts: new Map(Array.from({ length: 30 }, () => [id(), Math.fround(3 * random())])),
      banned: Array.from({ length: 50 }, id),
      position: i,
    };
  });
  const sampled = await sampleOnDevice(turns);
  sampled.forEach(({ ids, counts }, i) => {
    const { params, banned } = turns[i];
    assert.ok(acceptableIds(turns[i]).has(ids[0]), `turn ${i}: ${ids[0]}`);
    assert.ok(!banned!.includes(ids[0]));
    const wanted = new Map(turns[i].counts);
    recordToken(wanted, ids[0], params!.penaltyDecay!);
    assert.deepEqual([...counts], Array.from(counts, (_, id) => wanted.get(id) ?? 0));
  });
});

Deno.test("ties: top-p keeps all at its cutoff; top-k and argmax prefer lower ids", async () => {
  const logits = Float32Array.of(0, 1, 0, 1, 1, 0, 0, -1);
  const drawn = async (params: Partial<SamplingParams>) => {
    const turns = Array.from({ length: 200 }, (_, i) => ({ logits, params, position: i }));
    const ids = (await sampleOnDevice(turns)).map(({ ids: [id] }) => id);
    return [...new Set(ids)].sort();
  };
  assert.deepEqual(await drawn({ topP: 0.1 }), [1, 3, 4]);
  assert.deepEqual(await drawn({ topP: 0 }), [1, 3, 4]);
  assert.deepEqual(await drawn({ topK: 2 }), [1, 3]);
  assert.deepEqual(await drawn({ topP: 0.1, topK: 2 }), [1, 3]);
  assert.deepEqual(await drawn({ topK: 5 }), [0, 1, 2, 3, 4]);
  assert.deepEqual(await drawn({ topK: 100 }), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(await drawn({ temperature: 0 }), [1]);
});

Deno.test("sampled tokens follow the expected distribution", async () => {
  const logits = Float32Array.from(floats(seeded(8), 40, { low: -2, high: 2 }));
  const draws = caseCount(8000, 2000);
  for (
    const [i, params] of [
      { temperature: 1, topP: 1, topK: 0 },
      { temperature: 1.4, topP: 0.9, topK: 0 },
      { temperature: 0.6, topP: 0.97, topK: 9 },
    ].entries()
  ) {
    const seen = new Float64Array(40);
    for (let from = 0; from < draws; from += 1000) {
      const turns = Array.from({ length: 1000 }, (_, n): Turn => ({
        logits,
        params: { ...params, seed: BigInt(from + n) },
        position: 7 * i,
      }));
      for (const { ids: [id] } of await sampleOnDevice(turns, { lanes: 1 })) seen[id]++;
    }
    const expected = new Float64Array(40);
    const steps = caseCount(100_000, 20_000);
    for (let n = 0; n < steps; n++) {
      const id = sample(logits, { ...PLAIN, ...params }, new Map(), (n + 0.5) / steps);
      expected[id] += draws / steps;
    }
    let chiSquare = 0, cells = 0;
    expected.forEach((count, id) => {
      if (count === 0) assert.equal(seen[id], 0, "a token that was filtered out");
      if (count < 5) return;
      chiSquare += (seen[id] - count) ** 2 / count;
      cells++;
    });
    // Five standard deviations above the mean of the chi-square distribution; the seeds are fixed.
    assert.ok(chiSquare < cells + 5 * Math.sqrt(2 * cells), `${chiSquare} over ${cells} cells`);
  }
});

Deno.test("a turn ends at its end token, its token limit, or a stop string", async () => {
  const tokens = ["a", "b\n", "\nc", "d\n\ne", "€", "\n", "y", "z"].map((text) =>
    new TextEncoder().encode(text)
  );
  const tokenBytes = (id: number) => tokens[id];
  const logits = (id: number) => Float32Array.from({ length: 8 }, (_, i) => i === id ? 9 : 0);
  const strings = ["\n\n", "x".repeat(40), "a€"].map((text) => new TextEncoder().encode(text));
  const search = (text: string, unsearched = 0) =>
    createStopSearch({
      strings,
      precedingBytes: new TextEncoder().encode(text),
      unsearchedBytes: unsearched,
    });
  const cases: [number, Omit<Turn, "logits">, number][] = [
    [0, {}, FINISH.none],
    [4, { endToken: 4 }, FINISH.stop],
    [4, { endToken: 3 }, FINISH.none],
    [0, { remaining: 1 }, FINISH.length],
    [4, { remaining: 1, endToken: 4 }, FINISH.stop],
    [0, { remaining: 2 }, FINISH.none],
    [3, { search: search("") }, FINISH.stop],
    [1, { search: search("") }, FINISH.none],
    [2, { search: search("b\n") }, FINISH.stop],
    [2, { search: search("b\nz") }, FINISH.none],
    [4, { search: search("za") }, FINISH.stop],
    [5, { search: search("\n\n") }, FINISH.stop],
    [0, { search: search("\n\n") }, FINISH.none],
    [0, { search: search("\n\n", 1) }, FINISH.stop],
    [0, { search: search("x".repeat(39)) }, FINISH.none],
  ];
  const params = { temperature: 0 };
  const turns = cases.map(([id, turn]): Turn => ({ logits: logits(id), params, ...turn }));
  const sampled = await sampleOnDevice(turns, { tokenBytes });
  sampled.forEach(({ ids, end, words }, i) => {
    const [id, { search, remaining = 100 }, wanted] = cases[i];
    assert.deepEqual([ids, end], [[id], wanted], `case ${i}`);
    assert.equal(words[SLOT.active], wanted === FINISH.none ? 1 : 0);
    assert.equal(words[SLOT.token], id);
    assert.equal(words[SLOT.remaining], remaining - 1);
    assert.equal(words[SLOT.position], 1);
    if (!search) return;
    advanceStopSearch(search, tokens[id]);
    assert.deepEqual(words.slice(SLOT.stopBits, SLOT.stopBits + search.words), search.prefixBits);
  });
});

Deno.test("a finished turn is skipped; NaN or infinite logits end a turn", async () => {
  const logits = modelLogits(203, 1);
  const withNaN = (value: number) => logits.map((v, id) => id === 33 ? value : v);
  const all = Array.from(logits, (_, id) => id);
  const turns: Turn[] = [
    { logits, active: false, remaining: 5 },
    { logits: withNaN(NaN) },
    { logits: withNaN(Infinity), params: { temperature: 0 } },
    { logits: withNaN(-Infinity) },
    { logits, banned: all },
    { logits: logits.map(() => -Infinity) },
  ];
  const sampled = await sampleOnDevice(turns);
  assert.deepEqual(sampled.map(({ end }) => end), [
    FINISH.none,
    FINISH.notFinite,
    FINISH.notFinite,
    FINISH.none,
    FINISH.allBanned,
    FINISH.allBanned,
  ]);
  assert.deepEqual(sampled.map(({ ids }) => ids.length), [0, 0, 0, 1, 0, 0]);
  assert.deepEqual(sampled.map(({ words }) => words[SLOT.active]), [0, 0, 0, 1, 0, 0]);
  assert.equal(sampled[0].words[SLOT.remaining], 5);
});

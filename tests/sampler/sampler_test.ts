import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { NEUTRAL_SAMPLING, type SamplingParams } from "../../src/core/sampling.ts";
import { recordToken } from "../../src/sampler/penalties.ts";
import { randomAt } from "../../src/sampler/random.ts";
import { sample } from "../../src/sampler/sampler.ts";
import { QUICK } from "../support/quick.ts";

const plain: SamplingParams = { ...NEUTRAL_SAMPLING, seed: 0n };

const NO_COUNTS: ReadonlyMap<number, number> = new Map();

/**
 * Returns the probabilities of all tokens, computed step by step like the published numpy
 * reference: sort, cumulative sum, cutoff, power, renormalise.
 */
function referenceProbabilities(
  logits: readonly number[],
  { temperature, topP, topK }: Pick<SamplingParams, "temperature" | "topP" | "topK">,
): number[] {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const exps = logits.map((logit) => Math.exp(logit - top));
  const total = exps.reduce((a, b) => a + b);
  let probs = exps.map((e) => e / total);
  const sorted = [...probs].sort((a, b) => b - a);
  if (topP < 1) {
    let cumulative = 0;
    const index = sorted.findIndex((p) => (cumulative += p) >= topP);
    const cutoff = index < 0 ? 0 : sorted[index];
    probs = probs.map((p) => p < cutoff ? 0 : p);
  }
  if (topK > 0 && topK < probs.length) {
    const order = probs.map((_, id) => id).sort((a, b) => probs[b] - probs[a] || a - b);
    for (const id of order.slice(topK)) probs[id] = 0;
  }
  probs = probs.map((p) => p ** (1 / temperature));
  const kept = probs.reduce((a, b) => a + b);
  return probs.map((p) => p / kept);
}

/** Returns roughly normal float32 logits from a seed, with some exact ties. */
function randomLogits(length: number, seed: bigint): Float32Array {
  return Float32Array.from({ length }, (_, i) => {
    let sum = -6;
    for (let k = 0; k < 12; k++) sum += randomAt(seed, 12 * i + k);
    return i % 3 === 0 ? Math.round(2 * sum) : 2 * sum;
  });
}

const settings = [1, 0.95, 0.5, 0.2, 0.01, 0].flatMap((topP) =>
  [0, 1, 3, 40].flatMap((topK) => [0.3, 1, 1.7].map((temperature) => ({ topP, topK, temperature })))
);

Deno.test("every random number draws the reference's token", () => {
  for (const [length, seed] of [[1, 1n], [2, 2n], [7, 3n], [65, 4n], [301, 5n]] as const) {
    const logits = randomLogits(length, seed);
    for (const setting of settings) {
      const probabilities = referenceProbabilities([...logits], setting);
      const what = `${length} logits, ${JSON.stringify(setting)}`;
      let below = 0;
      probabilities.forEach((p, id) => {
        // Both ends of the token's interval, minus a margin for rounding errors, and its middle.
        if (p > 1e-9) {
          for (const part of [1e-3, 0.5, 1 - 1e-3]) {
            const token = sample(logits, { ...plain, ...setting }, NO_COUNTS, below + part * p);
            assert.equal(token, id, what);
          }
        }
        below += p;
      });
    }
  }
});

Deno.test("filters a whole vocabulary like the reference", () => {
  const logits = randomLogits(65536, 6n);
  const hot = settings.filter(({ temperature }) => temperature === 1.7);
  for (const setting of QUICK ? hot.filter((_, i) => i % 3 === 0) : hot) {
    const probabilities = referenceProbabilities([...logits], setting);
    for (let i = 0; i < 3; i++) {
      const random = randomAt(7n, i);
      let cumulative = 0;
      const expected = probabilities.findIndex((p) => (cumulative += p) > random);
      assert.equal(sample(logits, { ...plain, ...setting }, NO_COUNTS, random), expected);
    }
  }
});

Deno.test("tokens are drawn with their probabilities", () => {
  const logits = randomLogits(40, 8n);
  const draws = 20_000;
  for (
    const setting of [
      { temperature: 1, topP: 1, topK: 0 },
      { temperature: 1.4, topP: 0.9, topK: 0 },
      { temperature: 0.6, topP: 0.97, topK: 9 },
    ]
  ) {
    const probabilities = referenceProbabilities([...logits], setting);
    const seen = new Array<number>(40).fill(0);
    for (let seed = 0; seed < draws; seed++) {
      seen[sample(logits, { ...plain, ...setting }, NO_COUNTS, randomAt(BigInt(seed), 17))]++;
    }
    let chiSquare = 0;
    let cells = 0;
    probabilities.forEach((p, id) => {
      if (p === 0) assert.equal(seen[id], 0, "a token that was cut");
      if (p * draws < 5) return;
      chiSquare += (seen[id] - p * draws) ** 2 / (p * draws);
      cells++;
    });
    // Five standard deviations above the mean of the distribution; the seeds are fixed.
    assert(chiSquare < cells + 5 * Math.sqrt(2 * cells), `${chiSquare} over ${cells} cells`);
  }
});

Deno.test("ties at the top-p cutoff remain, ties at the top-k cutoff are resolved by id", () => {
  const logits = Float32Array.of(0, 1, 0, 1, 1, 0);
  const drawn = (change: Partial<SamplingParams>) => {
    const ids = new Set<number>();
    for (let i = 0; i < 100; i++) {
      ids.add(sample(logits, { ...plain, ...change }, NO_COUNTS, i / 100));
    }
    return [...ids];
  };
  assert.deepEqual(drawn({ topP: 0.1 }), [1, 3, 4]);
  assert.deepEqual(drawn({ topP: 0 }), [1, 3, 4]);
  assert.deepEqual(drawn({ topK: 2 }), [1, 3]);
  assert.deepEqual(drawn({ topP: 0.1, topK: 2 }), [1, 3]);
  assert.deepEqual(drawn({ topK: 5 }), [0, 1, 2, 3, 4]);
  assert.deepEqual(drawn({ topP: 0.9999 }), [0, 1, 2, 3, 4, 5]);
});

Deno.test("temperature 0 selects the largest logit, the lowest id among equals", () => {
  const params = { ...plain, temperature: 0 };
  assert.equal(sample(Float32Array.of(1, 3, 2, 3), params, NO_COUNTS, 0.99), 1);
  assert.equal(
    sample(Float32Array.of(1, 3, 2, 3), params, NO_COUNTS, 0, Uint8Array.of(0, 1, 0, 0)),
    3,
  );
  assert.equal(sample(Float32Array.of(-1e30, -Infinity), params, NO_COUNTS, 0.5), 0);
});

Deno.test("a tiny temperature is nearly argmax for any vocabulary size", () => {
  const logits = randomLogits(65536, 9n);
  const best = sample(logits, { ...plain, temperature: 0 }, NO_COUNTS, 0);
  const ties = logits.filter((logit) => logit === logits[best]).length;
  const token = sample(logits, { ...plain, temperature: 1e-6 }, NO_COUNTS, 0.5 / ties);
  assert.equal(token, best);
});

Deno.test("bias and penalties apply to a copy of the logits", () => {
  const logits = Float32Array.of(2, 1.5, 1, 0);
  const before = logits.slice();
  const at = (change: Partial<SamplingParams>, counts: [number, number][] = []) =>
    sample(logits, { ...plain, temperature: 0, ...change }, new Map(counts), 0);
  assert.equal(at({ logitBias: new Map([[3, 2.25]]) }), 3);
  assert.equal(at({ logitBias: new Map([[0, -100], [99, 100]]) }), 1);
  assert.equal(at({ presencePenalty: 0.75 }, [[0, 0.01]]), 1);
  assert.equal(at({ presencePenalty: 0.75 }, [[0, 0]]), 0);
  assert.equal(at({ frequencyPenalty: 0.25 }, [[0, 1], [1, 1]]), 0);
  assert.equal(at({ frequencyPenalty: 0.25 }, [[0, 3]]), 1);
  assert.equal(at({ frequencyPenalty: 0.25, presencePenalty: 0.5 }, [[0, 1], [1, 2]]), 0);
  assert.equal(at({ presencePenalty: -2 }, [[3, 1], [2, 1]]), 2);
  const biased = Float32Array.of(2 - 0.5 - 3 * 0.25, 1.5, 1, 0.125);
  for (let i = 0; i < 50; i++) {
    const changed = {
      ...plain,
      topP: 0.9,
      presencePenalty: 0.5,
      frequencyPenalty: 0.25,
      logitBias: new Map([[3, 0.125]]),
    };
    assert.equal(
      sample(logits, changed, new Map([[0, 3]]), i / 50),
      sample(biased, { ...plain, topP: 0.9 }, NO_COUNTS, i / 50),
    );
  }
  assert.deepEqual(logits, before);
});

Deno.test("banned tokens are never drawn, regardless of their logits", () => {
  const logits = Float32Array.of(50, 1, 40, 1, -Infinity);
  const banned = Uint8Array.of(1, 0, 1, 0, 0);
  for (const change of [{}, { topP: 0.5 }, { topK: 5 }, { temperature: 5 }]) {
    const ids = new Set<number>();
    for (let i = 0; i < 64; i++) {
      ids.add(sample(logits, { ...plain, ...change }, NO_COUNTS, i / 64, banned));
    }
    assert.deepEqual([...ids], [1, 3]);
  }
});

Deno.test("NaN logits and an empty choice are numeric faults", () => {
  const faulty = (logits: number[], message: RegExp, banned: Uint8Array | null = null) => {
    for (const temperature of [0, 1]) {
      assert.throws(
        () => sample(Float32Array.from(logits), { ...plain, temperature }, NO_COUNTS, 0.5, banned),
        (error: unknown) => {
          assert(error instanceof InferenceError && error.code === "numeric_fault", `${error}`);
          assert.match(error.message, message);
          return true;
        },
      );
    }
  };
  faulty([0, NaN, 1], /token 1 is NaN/);
  faulty([0, 1, Infinity], /token 2 is Infinity/);
  faulty([-Infinity, -Infinity], /all 2 tokens/);
  faulty([1, 2], /all 2 tokens/, Uint8Array.of(1, 1));
  faulty([], /all 0 tokens/);
});

Deno.test("counts decay and grow in float32", () => {
  const { fround } = Math;
  const counts = new Map<number, number>();
  for (const token of [5, 5, 7, 5]) recordToken(counts, token, 0.996);
  const factor = fround(0.996);
  assert.equal(
    counts.get(5),
    fround(fround(fround(fround(fround(1 * factor) + 1) * factor) * factor) + 1),
  );
  assert.equal(counts.get(7), factor);
  const plainCounts = new Map<number, number>();
  for (const token of [5, 5, 7, 5]) recordToken(plainCounts, token, 1);
  assert.deepEqual([...plainCounts], [[5, 3], [7, 1]]);
  recordToken(plainCounts, 9, 0);
  assert.deepEqual([...plainCounts], [[9, 1]]);
  const fading = new Map([[1, 2 ** -126]]);
  recordToken(fading, 2, 0.5);
  assert.deepEqual([...fading], [[2, 1]]);
});

Deno.test("min-p keeps tokens nearly as probable as the best one, after the other filters", () => {
  const logits = Float32Array.from([0.5, 0.3, 0.15, 0.05], Math.log);
  const drawn = (params: Partial<SamplingParams>) =>
    new Set(
      Array.from({ length: 400 }, (_, i) =>
        sample(logits, { ...plain, ...params }, NO_COUNTS, (i + 0.5) / 400)),
    );
  assert.deepEqual(drawn({ minP: 0 }), new Set([0, 1, 2, 3]));
  assert.deepEqual(drawn({ minP: 0.25 }), new Set([0, 1, 2]));
  assert.deepEqual(drawn({ minP: 0.31 }), new Set([0, 1]));
  assert.deepEqual(drawn({ minP: 1 }), new Set([0]));
  assert.deepEqual(drawn({ minP: 0.25, topK: 2 }), new Set([0, 1]));
  // The relative probabilities of the remaining tokens do not change.
  const first = Array.from(
    { length: 800 },
    (_, i) => sample(logits, { ...plain, minP: 0.31 }, NO_COUNTS, (i + 0.5) / 800),
  ).filter((id) => id === 0);
  assert.equal(first.length, 500);
});

Deno.test("the repetition penalty divides positive logits and multiplies negative ones", () => {
  const logits = Float32Array.of(2, 1.5, -1, -1.5);
  const greedy = (params: Partial<SamplingParams>, counts: [number, number][]) =>
    sample(logits, { ...plain, temperature: 0, ...params }, new Map(counts), 0);
  assert.equal(greedy({ repetitionPenalty: 1 }, [[0, 3]]), 0);
  assert.equal(greedy({ repetitionPenalty: 1.3 }, [[0, 3]]), 0);
  assert.equal(greedy({ repetitionPenalty: 1.4 }, [[0, 3]]), 1);
  assert.equal(greedy({ repetitionPenalty: 1.4 }, [[0, 0]]), 0);
  const bias = new Map([[0, -9], [1, -9]]);
  assert.equal(greedy({ repetitionPenalty: 1.4, logitBias: bias }, [[2, 1]]), 2);
  assert.equal(greedy({ repetitionPenalty: 1.6, logitBias: bias }, [[2, 1]]), 3);
});

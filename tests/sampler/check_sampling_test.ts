import assert from "node:assert/strict";
import { InferenceError } from "../../src/core/errors.ts";
import { checkSampling } from "../../src/sampler/check_sampling.ts";
import type { SamplingParams } from "../../src/core/sampling.ts";

const valid: SamplingParams = {
  temperature: 1,
  topP: 0.9,
  topK: 40,
  presencePenalty: 0.5,
  frequencyPenalty: 0.5,
  penaltyDecay: 0.996,
  logitBias: new Map([[3, -100]]),
  seed: 42n,
};

Deno.test("accepts parameters at the limits of their ranges", () => {
  checkSampling(valid, 4);
  for (const temperature of [0, 5]) checkSampling({ ...valid, temperature });
  for (const topP of [0, 1]) checkSampling({ ...valid, topP });
  for (const topK of [0, 2 ** 40]) checkSampling({ ...valid, topK });
  for (const penalty of [-2, 2]) {
    checkSampling({ ...valid, presencePenalty: penalty, frequencyPenalty: penalty });
  }
  for (const penaltyDecay of [0, 1]) checkSampling({ ...valid, penaltyDecay });
  for (const seed of [0n, 2n ** 64n - 1n]) checkSampling({ ...valid, seed });
});

Deno.test("rejects parameters out of range with name, value and range", () => {
  const cases: [Partial<SamplingParams>, string, RegExp][] = [
    [{ temperature: -0.1 }, "temperature", /temperature is -0\.1, and must be .* 0 to 5/],
    [{ temperature: NaN }, "temperature", /is NaN/],
    [{ temperature: Infinity }, "temperature", /is Infinity/],
    [{ topP: 1.01 }, "top_p", /top_p is 1\.01, and must be .* 0 to 1/],
    [{ topK: -1 }, "top_k", /top_k is -1/],
    [{ topK: 1.5 }, "top_k", /whole number/],
    [{ presencePenalty: 2.5 }, "presence_penalty", /-2 to 2/],
    [{ frequencyPenalty: -3 }, "frequency_penalty", /-2 to 2/],
    [{ penaltyDecay: 1.1 }, "penalty_decay", /0 to 1/],
    [{ minP: 1.1 }, "min_p", /0 to 1/],
    [{ minP: NaN }, "min_p", /0 to 1/],
    [{ repetitionPenalty: 0 }, "repetition_penalty", /0.1 to 10/],
    [{ seed: -1n }, "seed", /18446744073709551615/],
    [{ seed: 2n ** 64n }, "seed", /seed is 18446744073709551616/],
    [{ logitBias: new Map([[4, 1]]) }, "logit_bias", /token id 4, .* from 0 to 3/],
    [{ logitBias: new Map([[-1, 1]]) }, "logit_bias", /token id -1/],
    [{ logitBias: new Map([[0.5, 1]]) }, "logit_bias", /token id 0\.5/],
    [{ logitBias: new Map([[1, NaN]]) }, "logit_bias", /logit_bias is NaN/],
  ];
  for (const [change, param, message] of cases) {
    assert.throws(() => checkSampling({ ...valid, ...change }, 4), (error: unknown) => {
      assert(error instanceof InferenceError && error.code === "invalid_value");
      assert.equal(error.param, param);
      assert.match(error.message, message);
      return true;
    });
  }
});

import assert from "node:assert/strict";
import { computeLogprobs } from "../../src/sampler/logprobs.ts";

Deno.test("log probabilities are a softmax over real tokens, the most probable first", () => {
  const logits = Float32Array.of(1, 4, 2, 4, -3, 90);
  const banned = Uint8Array.of(0, 0, 0, 0, 0, 1);
  const sum = [1, 4, 2, 4, -3].reduce((sum, logit) => sum + Math.exp(logit), 0);
  const { logprob, top } = computeLogprobs(2, logits, { banned, count: 4 });
  assert.ok(Math.abs(logprob - Math.log(Math.exp(2) / sum)) < 1e-12);
  assert.deepEqual(top.map(({ token }) => token), [1, 3, 2, 0]);
  for (const { token, logprob } of top) {
    assert.ok(Math.abs(logprob - Math.log(Math.exp(logits[token]) / sum)) < 1e-12);
  }
  const all = computeLogprobs(0, logits, { banned, count: 20 }).top;
  assert.equal(all.length, 5);
  assert.ok(Math.abs(all.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0) - 1) < 1e-12);
  assert.deepEqual(computeLogprobs(0, logits, { banned: null, count: 0 }).top, []);
});

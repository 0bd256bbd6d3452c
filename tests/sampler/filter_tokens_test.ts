import assert from "node:assert/strict";
import { filterTokens } from "../../src/sampler/filter_tokens.ts";
import { randomAt } from "../../src/sampler/random.ts";

/** Reference implementation with a full sort. */
function slowCut(probabilities: readonly number[], topP: number, topK: number): number[] {
  const order = probabilities.map((_, id) => id)
    .sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  let sum = 0;
  const last = topP >= 1 ? -1 : order.findIndex((id) => (sum += probabilities[id]) >= topP);
  const cutoff = last < 0 ? 0 : probabilities[order[last]];
  return order.filter((id) => probabilities[id] >= cutoff && probabilities[id] > 0)
    .slice(0, topK === 0 ? undefined : topK).sort((a, b) => a - b);
}

Deno.test("filters like a full sort, for powers of two with many ties", () => {
  for (let round = 0; round < 400; round++) {
    const draw = (i: number) => randomAt(BigInt(round), i);
    const probabilities = Array.from(
      { length: 1 + Math.floor(draw(0) * 40) },
      (_, i) => draw(2 * i + 1) < 0.1 ? 0 : 2 ** -Math.floor(1 + draw(2 * i + 2) * 45),
    );
    probabilities[0] = 2 ** -3;
    const topK = Math.floor(draw(1001) * 12);
    for (const topP of [0, 2 ** -3, 0.3, 0.5, 0.9, 1, draw(1000)]) {
      assert.deepEqual(
        filterTokens(Float64Array.from(probabilities), { topP, topK }),
        slowCut(probabilities, topP, topK),
        `round ${round}, top-p ${topP}, top-k ${topK}`,
      );
    }
  }
});

import assert from "node:assert/strict";
import { leastWorkers } from "../../capacity/goals.ts";
import { computeFigures, quantiles, type TurnTimes } from "../../capacity/turn_times.ts";

function turn(requestedAt: number, rest: Partial<TurnTimes>): TurnTimes {
  return { requestedAt, chunks: [], endedAt: null, rejected: false, queueMs: null, ...rest };
}

Deno.test("figures cover the window's turns, and rates the events within it", () => {
  const chunks = [{ at: 1100, tokens: 1 }, { at: 1150, tokens: 4 }, { at: 1250, tokens: 6 }];
  const figures = computeFigures([
    turn(500, {
      chunks: [{ at: 900, tokens: 1 }, { at: 1200, tokens: 3 }],
      endedAt: 1500,
      queueMs: 9,
    }),
    turn(1000, { chunks, endedAt: 1300, queueMs: 20 }),
    turn(1400, { endedAt: 1400, rejected: true }),
    turn(1900, { chunks: [{ at: 2100, tokens: 8 }], endedAt: 2200, queueMs: 40 }),
    turn(2000, { chunks: [{ at: 2001, tokens: 8 }], endedAt: 2200, queueMs: 7 }),
  ], { from: 1000, to: 2000 });
  assert.deepEqual(figures, {
    turns: { asked: 3, finished: 1, refused: 1, under_way: 1 },
    ttft_ms: { p50: 200, p95: 200, p99: 200 },
    gap_ms: { p50: 100, p95: 100, p99: 100 },
    token_ms: { p50: 15, p95: 15, p99: 15 },
    queue_ms: { p50: 40, p95: 40, p99: 40 },
    refused: 1 / 3,
    turns_per_second: 3,
    tokens_per_second: 14,
    present: 0.9,
  });
});

Deno.test("quantiles are actual values, and null without values", () => {
  const values = Array.from({ length: 1000 }, (_, i) => 999 - i);
  assert.deepEqual(quantiles(values), { p50: 500, p95: 950, p99: 990 });
  assert.equal(quantiles([]), null);
});

Deno.test("the smallest number of workers is found with few simulations", async () => {
  for (const smallest of [1, 2, 3, 7, 64, 100]) {
    const tried: number[] = [];
    const meetsGoals = (workers: number) => {
      tried.push(workers);
      return Promise.resolve(workers >= smallest);
    };
    assert.equal(await leastWorkers(meetsGoals, 100), smallest);
    assert.equal(new Set(tried).size, tried.length);
    assert.ok(tried.length <= 2 * Math.ceil(Math.log2(smallest + 1)) + 2, `${tried}`);
  }
  assert.equal(await leastWorkers(() => Promise.resolve(false), 100), null);
});

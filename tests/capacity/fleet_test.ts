import assert from "node:assert/strict";
import { simulate } from "../../capacity/fleet.ts";
import { QUICK, slowTest } from "../support/quick.ts";
import { fleet, PLAIN } from "./fleet_options.ts";

/**
 * Options under which only the engine takes time, and the scheduler knows the length of each reply.
 * Otherwise it would start another step before it learns that a reply ended.
 */
const EXACT = { request: 0, kv: { load: 0, save: 0 }, maxTokens: "exact" } as const;

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual / expected - 1) <= tolerance, `${actual}, not ${expected}`);
}

Deno.test("every requested turn is completed, rejected or in progress", async () => {
  // Overload, so that all three outcomes occur.
  const { turns, figures } = await simulate(fleet({
    workers: 1,
    worker: { slots: 2, queue: 3 },
    load: { arrivals: { perSecond: 20 } },
  }));
  const { asked, finished, refused, under_way } = figures.turns;
  assert.equal(asked, finished + refused + under_way);
  for (const count of [finished, refused, under_way]) assert.ok(count > 0);
  assert.ok(under_way <= 2 + 3);
  assert.ok(turns.length > asked, "turns before the window do not count");
  for (const { requestedAt, chunks, endedAt, rejected } of turns) {
    assert.equal(chunks.length === 0, rejected);
    const times = [requestedAt, ...chunks.map(({ at }) => at), endedAt!];
    assert.deepEqual(times, times.toSorted((a, b) => a - b));
  }
});

Deno.test("turns in progress follow Little's law", async () => {
  const { turns, figures } = await simulate(fleet({ seconds: 1000 }));
  const own = turns.filter(({ requestedAt }) => requestedAt >= 20_000 && requestedAt < 1_020_000);
  const seconds = own.reduce((sum, { requestedAt, endedAt }) => sum + endedAt! - requestedAt, 0) /
    1000;
  assert.ok(figures.present > 2);
  assertNear(figures.present, figures.turns_per_second * seconds / own.length, 0.03);
});

for (const rate of [0.3, 0.6, 0.8]) {
  if (QUICK && rate < 0.8) continue;
  Deno.test(`queue time of one slot with equal turns matches M/D/1 at load ${rate}`, async () => {
    const service = 10 + 40;
    const { turns } = await simulate(fleet({
      workers: 1,
      seconds: 2000,
      worker: { ...EXACT, slots: 1, queue: 1e6 },
      load: {
        arrivals: { perSecond: rate * 1000 / service },
        turns: 1,
        prompt: () => 40,
        reply: () => 1,
      },
    }));
    const own = turns.filter(({ requestedAt }) => requestedAt >= 20_000);
    const waited = own.reduce((sum, { queueMs }) => sum + queueMs!, 0) / own.length;
    assertNear(waited, rate * service / (2 * (1 - rate)), 0.05);
  });
}

slowTest("queue time of one slot with exponential prompts matches M/M/1", async () => {
  const service = 40, rate = 0.6;
  const { turns, figures } = await simulate(fleet({
    workers: 1,
    seconds: 4000,
    worker: {
      profile: { ...PLAIN, read: { step: 0, token: 0.1 } },
      ...EXACT,
      slots: 1,
      queue: 1e6,
    },
    load: {
      arrivals: { perSecond: rate * 1000 / service },
      turns: 1,
      prompt: (random) => -400 * Math.log1p(-random),
      reply: () => 1,
    },
  }));
  const own = turns.filter(({ requestedAt }) => requestedAt >= 20_000);
  const waited = own.reduce((sum, { queueMs }) => sum + queueMs!, 0) / own.length;
  assertNear(waited, rate * service / (1 - rate), 0.05);
  assertNear(figures.utilisation.mean, rate, 0.02);
});

Deno.test("more workers never increase latency", async () => {
  let before = Infinity;
  for (const workers of QUICK ? [1, 3, 8] : [1, 2, 3, 5, 8]) {
    const { figures } = await simulate(fleet({ workers, load: { arrivals: { perSecond: 20 } } }));
    const p95 = figures.ttft_ms!.p95;
    assert.ok(p95 <= before, `${workers}: ${p95}, ${before} with fewer`);
    before = p95;
  }
});

Deno.test("the same seed gives the same result, another seed a different one", async () => {
  const [first, again, other] = [
    await simulate(fleet()),
    await simulate(fleet()),
    await simulate(fleet({ seed: 2 })),
  ];
  assert.deepEqual(again, first);
  assert.notDeepEqual(other.figures, first.figures);
});

Deno.test("the least-turns policy gives lower latency than round robin", async () => {
  const load = { arrivals: { perSecond: 15 } };
  const roundRobin = await simulate(fleet({ workers: 3, load }));
  const leastTurns = await simulate(fleet({ workers: 3, load, balancer: "least" }));
  assert.ok(leastTurns.figures.ttft_ms!.p95 < roundRobin.figures.ttft_ms!.p95);
});

Deno.test("engines share cores", async () => {
  const load = { arrivals: { perSecond: 9 }, turns: 1 };
  // One slot each, so that batching gains nothing.
  const worker = { profile: { ...PLAIN, decode: [{ batch: 1, ms: 10 }] }, slots: 1, queue: 1e6 };
  const own = await simulate(fleet({ workers: 4, load, worker }));
  const shared = await simulate(fleet({ workers: 4, cores: 2, load, worker }));
  assert.ok(shared.figures.token_ms!.p50 > 1.4 * own.figures.token_ms!.p50);
  const idle = await simulate(fleet({ workers: 4, cores: 4, load, worker }));
  assertNear(idle.figures.token_ms!.p50, own.figures.token_ms!.p50, 1e-6);
});

Deno.test("a state is in its slot, in the worker's cache, or loaded from the store", async () => {
  const rates = async (workers: number, cacheBytes: number) => {
    const { figures } = await simulate(fleet({ workers, worker: { cacheBytes } }));
    const { states, turns_per_second } = figures;
    // Three of four turns resume a state.
    return {
      warm: states.warm_per_second / turns_per_second / 0.75,
      loads: states.loads_per_second / turns_per_second / 0.75,
    };
  };
  const alone = await rates(1, 1e9);
  assert.ok(alone.loads < 0.02, "a single worker has all states in memory");
  const fourWorkers = await rates(4, 1e9);
  assertNear(fourWorkers.warm + fourWorkers.loads, 1, 0.35);
  assert.ok(fourWorkers.loads > 0.5 && fourWorkers.loads < 0.8);
  const withoutCache = await rates(4, 0);
  assert.ok(withoutCache.loads > fourWorkers.loads);
  assertNear(withoutCache.warm + withoutCache.loads, 1, 0.05);
});

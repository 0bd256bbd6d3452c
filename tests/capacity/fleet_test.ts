import assert from "node:assert/strict";
import { simulate } from "../../capacity/fleet.ts";
import { QUICK, slowTest } from "../support/quick.ts";
import { fleet, PLAIN } from "./fleet_options.ts";

/**
 * Nothing but the engine takes time, and the scheduler knows how long replies are: else it calls for
 * another step before it learns of an end.
 */
const EXACT = { request: 0, kv: { load: 0, save: 0 }, maxTokens: "exact" } as const;

function assertNear(got: number, wanted: number, part: number): void {
  assert.ok(Math.abs(got / wanted - 1) <= part, `${got}, not ${wanted}`);
}

Deno.test("every turn that is asked for finishes, is refused or is under way", async () => {
  // Too much for it, so that all three happen.
  const { turns, figures } = await simulate(fleet({
    workers: 1,
    worker: { slots: 2, queue: 3 },
    load: { arrivals: { perSecond: 20 } },
  }));
  const { asked, finished, refused, under_way } = figures.turns;
  assert.equal(asked, finished + refused + under_way);
  for (const count of [finished, refused, under_way]) assert.ok(count > 0);
  assert.ok(under_way <= 2 + 3);
  assert.ok(turns.length > asked, "those before the window do not count");
  for (const { requestedAt: asked, chunks: texts, endedAt: ended, rejected: refused } of turns) {
    assert.equal(texts.length === 0, refused);
    const times = [asked, ...texts.map(({ at }) => at), ended!];
    assert.deepEqual(times, times.toSorted((a, b) => a - b));
  }
});

Deno.test("turns under way are as many as their rate times how long they take", async () => {
  const { turns, figures } = await simulate(fleet({ seconds: 1000 }));
  const own = turns.filter(({ requestedAt: asked }) => asked >= 20_000 && asked < 1_020_000);
  const seconds = own.reduce((sum, { requestedAt: asked, endedAt: ended }) => sum + ended! - asked, 0) / 1000;
  assert.ok(figures.present > 2);
  assertNear(figures.present, figures.turns_per_second * seconds / own.length, 0.03);
});

for (const rate of [0.3, 0.6, 0.8]) {
  if (QUICK && rate < 0.8) continue;
  Deno.test(`one slot with equal turns waits as M/D/1 does at a load of ${rate}`, async () => {
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
    const own = turns.filter(({ requestedAt: asked }) => asked >= 20_000);
    const waited = own.reduce((sum, { queueMs: queued }) => sum + queued!, 0) / own.length;
    assertNear(waited, rate * service / (2 * (1 - rate)), 0.05);
  });
}

slowTest("one slot with prompts of exponential length waits as M/M/1 does", async () => {
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
  const own = turns.filter(({ requestedAt: asked }) => asked >= 20_000);
  const waited = own.reduce((sum, { queueMs: queued }) => sum + queued!, 0) / own.length;
  assertNear(waited, rate * service / (1 - rate), 0.05);
  assertNear(figures.utilisation.mean, rate, 0.02);
});

Deno.test("more workers are never worse", async () => {
  let before = Infinity;
  for (const workers of QUICK ? [1, 3, 8] : [1, 2, 3, 5, 8]) {
    const { figures } = await simulate(fleet({ workers, load: { arrivals: { perSecond: 20 } } }));
    const p95 = figures.ttft_ms!.p95;
    assert.ok(p95 <= before, `${workers}: ${p95}, ${before} with fewer`);
    before = p95;
  }
});

Deno.test("the same seed tells the same, and another one does not", async () => {
  const [first, again, other] = [
    await simulate(fleet()),
    await simulate(fleet()),
    await simulate(fleet({ seed: 2 })),
  ];
  assert.deepEqual(again, first);
  assert.notDeepEqual(other.figures, first.figures);
});

Deno.test("who has the fewest turns is a better choice than who comes next", async () => {
  const load = { arrivals: { perSecond: 15 } };
  const turn = await simulate(fleet({ workers: 3, load }));
  const least = await simulate(fleet({ workers: 3, load, balancer: "least" }));
  assert.ok(least.figures.ttft_ms!.p95 < turn.figures.ttft_ms!.p95);
});

Deno.test("engines on one core share it, and are as fast together as one alone", async () => {
  const load = { arrivals: { perSecond: 9 }, turns: 1 };
  // Each writes alone, so that sharing a batch gains nothing.
  const worker = { profile: { ...PLAIN, decode: [{ batch: 1, ms: 10 }] }, slots: 1, queue: 1e6 };
  const own = await simulate(fleet({ workers: 4, load, worker }));
  const shared = await simulate(fleet({ workers: 4, cores: 2, load, worker }));
  assert.ok(shared.figures.token_ms!.p50 > 1.4 * own.figures.token_ms!.p50);
  const idle = await simulate(fleet({ workers: 4, cores: 4, load, worker }));
  assertNear(idle.figures.token_ms!.p50, own.figures.token_ms!.p50, 1e-6);
});

Deno.test("a state is in its slot, in the worker's memory, or read from the store", async () => {
  const rates = async (workers: number, cacheBytes: number) => {
    const { figures } = await simulate(fleet({ workers, worker: { cacheBytes } }));
    const { states, turns_per_second } = figures;
    // Three of four turns go on from a state.
    return {
      warm: states.warm_per_second / turns_per_second / 0.75,
      loads: states.loads_per_second / turns_per_second / 0.75,
    };
  };
  const alone = await rates(1, 1e9);
  assert.ok(alone.loads < 0.02, "one worker has all in memory");
  const many = await rates(4, 1e9);
  assertNear(many.warm + many.loads, 1, 0.35);
  assert.ok(many.loads > 0.5 && many.loads < 0.8);
  const forgetful = await rates(4, 0);
  assert.ok(forgetful.loads > many.loads);
  assertNear(forgetful.warm + forgetful.loads, 1, 0.05);
});

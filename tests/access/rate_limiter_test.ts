/** What a bound by the minute lets through: on one worker, and on several that share a store. */

import assert from "node:assert/strict";
import { RateLimiter } from "../../src/access/rate_limiter.ts";
import { InferenceError } from "../../src/core/errors.ts";
import type { Entry } from "../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { seeded } from "../support/random_data.ts";
import { ask, VirtualClock, workersOf } from "./rate_fixtures.ts";

const MINUTE = 60_000;

/** The most that came in any 60 seconds. */
function mostInAMinute(came: readonly { at: number; amount: number }[]): number {
  return Math.max(
    0,
    ...came.map(({ at: begin }) =>
      came.filter(({ at }) => at >= begin && at < begin + MINUTE)
        .reduce((sum, { amount }) => sum + amount, 0)
    ),
  );
}

function take(limiter: RateLimiter, limit: number, amount: number): boolean {
  if (limiter.wait("acme", "tokens", { limit, amount }) > 0) return false;
  limiter.add("acme", "tokens", amount);
  return true;
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  Deno.test(`in no 60 seconds does more come than may, and who waits is taken, seed ${seed}`, async () => {
    const random = seeded(seed);
    const clock = new VirtualClock();
    const [limiter] = workersOf(1, clock);
    const limit = 1 + Math.floor(random() * 40);
    const came: { at: number; amount: number }[] = [];
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      // Bursts, pauses, and what comes evenly.
      const pause = [0, 0, 0, 700, 3_000, 59_900, 60_100][Math.floor(random() * 7)];
      await clock.pass(Math.floor(pause * (0.9 + random() / 5)));
      const amount = 1 + Math.floor(random() * Math.min(limit, 10));
      const wait = limiter.wait("acme", "tokens", { limit, amount });
      if (wait > 0) {
        refused++;
        await clock.pass(wait - 1);
        assert.equal(limiter.wait("acme", "tokens", { limit, amount }), 1);
        await clock.pass(1);
      }
      assert.ok(take(limiter, limit, amount), `after ${wait} ms`);
      came.push({ at: clock.now(), amount });
    }
    assert.ok(refused > 0);
    assert.ok(mostInAMinute(came) <= limit, `${mostInAMinute(came)} of ${limit}`);
  });
}

Deno.test("a bound is there at once, and is all there again a minute later, not before", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  const burst = () => Array.from({ length: 90 }, () => ask(limiter, 60)).filter(Boolean).length;
  assert.deepEqual(limiter.left("acme", "requests", 60), { limit: 60, remaining: 60, reset: 0 });
  assert.equal(burst(), 60);
  const { remaining, reset } = limiter.left("acme", "requests", 60);
  assert.deepEqual([remaining, reset], [0, 60_700]);
  await clock.pass(reset - 1);
  assert.equal(burst(), 0);
  await clock.pass(1);
  assert.equal(burst(), 60);
});

Deno.test("tenants, and what is counted of them, do not touch each other", () => {
  const [limiter] = workersOf(1, new VirtualClock());
  assert.ok(ask(limiter, 1));
  assert.ok(!ask(limiter, 1));
  assert.ok(take(limiter, 1, 1));
  assert.ok(ask(limiter, 1, "other"));
  assert.equal(limiter.left("third", "requests", 1).remaining, 1);
});

Deno.test("what is taken back does not count, and takes nothing of later seconds back", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  const takeBack = limiter.add("acme", "tokens", 100);
  await clock.pass(2_000);
  limiter.add("acme", "tokens", 5);
  takeBack(40);
  assert.equal(limiter.left("acme", "tokens", 100).remaining, 35);
  await clock.pass(59_000);
  takeBack(10);
  assert.equal(limiter.left("acme", "tokens", 100).remaining, 95);
});

Deno.test("more than a bound allows at all is taken when nothing else counts", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  assert.ok(take(limiter, 10, 1));
  const wait = limiter.wait("acme", "tokens", { limit: 10, amount: 25 });
  await clock.pass(wait);
  assert.ok(take(limiter, 10, 25));
  assert.ok(!take(limiter, 10, 1));
});

/** Each of the workers takes all that it may; how much that is. */
function burstOf(workers: readonly RateLimiter[], limit: number): number {
  return workers.reduce((sum, limiter) => {
    let taken = 0;
    while (ask(limiter, limit)) taken++;
    return sum + taken;
  }, 0);
}

Deno.test("what one worker has taken, the others do not give two seconds later", async () => {
  const clock = new VirtualClock();
  const workers = workersOf(3, clock);
  assert.equal(burstOf(workers.slice(0, 1), 60), 60);
  await clock.pass(1_000);
  for (const other of workers.slice(1)) ask(other, 60);
  await clock.pass(1_000);
  assert.equal(burstOf(workers, 60), 0);
  const { remaining, reset } = workers[2].left("acme", "requests", 60);
  assert.equal(remaining, 0);
  assert.ok(reset > 57_000, String(reset));
});

for (const [count, amount] of [[2, 1], [3, 1], [10, 1], [3, 30], [10, 30]]) {
  Deno.test(`${count} workers asked for all they give, ${amount} at once, give no more than is documented`, async () => {
    const clock = new VirtualClock();
    const workers = workersOf(count, clock);
    const limit = 100;
    // Asked without a pause for six minutes: every 200 ms, each gives all that it may.
    const came: { at: number; amount: number }[] = [];
    for (let step = 0; step < 6 * 300; step++) {
      for (const worker of workers) {
        while (take(worker, limit, amount)) came.push({ at: clock.now(), amount });
      }
      await clock.pass(200);
    }
    const met = came[0].at + MINUTE;
    assert.ok(mostInAMinute(came.filter(({ at }) => at < met)) <= count * limit);
    const most = mostInAMinute(came.filter(({ at }) => at >= met));
    assert.ok(most > limit - amount && most <= 1.5 * limit + count * amount, String(most));
  });
}

/** How long it takes until the next request comes, and to whom it goes. */
const WAYS: Record<string, (random: () => number, i: number, count: number) => [number, number]> = {
  "in turns, fast": (_, i, count) => [150, i % count],
  "in turns, slowly": (_, i, count) => [600, i % count],
  "at random": (random, _, count) => [600 * random(), random() * count],
  "with pauses": (random, i, count) => [random() < 0.05 ? 20_000 * random() : 100, i % count],
  "in bursts at one": (
    random,
    i,
    count,
  ) => [i % 50 === 0 ? 7_000 * random() : 10, (i / 50) % count],
};

for (const [way, next] of Object.entries(WAYS)) {
  for (const count of [2, 5, 12]) {
    Deno.test(`${count} workers asked ${way} give no more than is documented`, async () => {
      const random = seeded(count);
      const clock = new VirtualClock();
      const workers = workersOf(count, clock);
      const limit = 30;
      const came: { at: number; amount: number }[] = [];
      let refused = 0;
      const begin = clock.now();
      for (let i = 0; clock.now() < begin + 8 * MINUTE; i++) {
        const [pause, worker] = next(random, i, count);
        if (ask(workers[Math.floor(worker)], limit)) came.push({ at: clock.now(), amount: 1 });
        else refused++;
        await clock.pass(Math.floor(pause));
      }
      const met = came[0].at + MINUTE;
      const most = mostInAMinute(came.filter(({ at }) => at >= met));
      assert.ok(refused > 0 && most >= limit - 2, `${most}, ${refused}`);
      assert.ok(most <= 1.5 * limit + count, `${most} of ${limit}`);
    });
  }
}

Deno.test("workers that are asked in turns, as by a balancer, hold a bound nearly as one does", async () => {
  for (const [count, limit, pause] of [[12, 30, 600], [25, 10, 600], [12, 20, 1_000]]) {
    const clock = new VirtualClock();
    const workers = workersOf(count, clock);
    const came: { at: number; amount: number }[] = [];
    const begin = clock.now();
    for (let i = 0; clock.now() < begin + 5 * MINUTE; i++) {
      if (ask(workers[i % count], limit)) came.push({ at: clock.now(), amount: 1 });
      await clock.pass(pause);
    }
    const most = mostInAMinute(came.filter(({ at }) => at >= begin + MINUTE));
    assert.ok(
      most >= limit - 1 && most <= 1.1 * limit + 1,
      `${most} of ${limit}, ${count} workers`,
    );
  }
});

Deno.test("a worker that knows of another one gives its part at once, and the rest when it has heard", async () => {
  const clock = new VirtualClock();
  const [one, two] = workersOf(2, clock);
  ask(one, 60);
  ask(two, 60);
  await clock.pass(1_500);
  ask(one, 60);
  ask(two, 60);
  await clock.pass(61_000);
  // Both are known to each other still, and nothing counts any more.
  assert.equal(burstOf([one], 60), 30);
  const wait = one.wait("acme", "requests", { limit: 60, amount: 1 });
  assert.ok(wait > 0 && wait <= 2_000, String(wait));
  await clock.pass(wait);
  assert.ok(ask(one, 60));
});

/** A store that can be away. */
class LosableBackend extends MemoryBackend {
  lost = false;
  uses = 0;

  override async atomic(...args: Parameters<MemoryBackend["atomic"]>) {
    this.#use();
    return await super.atomic(...args);
  }

  override async *list(...args: Parameters<MemoryBackend["list"]>): AsyncIterable<Entry> {
    this.#use();
    yield* super.list(...args);
  }

  #use(): void {
    this.uses++;
    if (this.lost) throw new InferenceError("store_unavailable", "it is away");
  }
}

Deno.test("without its store a worker goes on by what it knows, and tells it later", async () => {
  const clock = new VirtualClock();
  const backend = new LosableBackend({ now: clock.now });
  const [one, two] = workersOf(2, clock, backend);
  backend.lost = true;
  assert.equal(burstOf([one], 60), 60);
  await clock.pass(5_000);
  assert.equal(burstOf([one], 60), 0);
  assert.equal(burstOf([two], 60), 60);
  backend.lost = false;
  await clock.pass(2_000);
  ask(one, 60);
  await clock.settle();
  assert.equal(one.left("acme", "requests", 200).remaining, 80);
});

Deno.test("the store is used once a second for a tenant that comes, and not for one that does not", async () => {
  const clock = new VirtualClock();
  const backend = new LosableBackend({ now: clock.now });
  const [limiter] = workersOf(1, clock, backend);
  for (let i = 0; i < 100; i++) {
    ask(limiter, 1_000);
    await clock.pass(100);
  }
  await clock.pass(2_000);
  const { uses } = backend;
  // A write and a list each.
  assert.ok(uses >= 20 && uses <= 24, String(uses));
  // Less and less often then, and not for ever.
  await clock.pass(3 * MINUTE);
  assert.ok(backend.uses - uses < 30, String(backend.uses - uses));
  const { uses: last } = backend;
  await clock.pass(10 * MINUTE);
  assert.equal(backend.uses, last);
});

Deno.test("a store that is away for long is not asked for ever about what counts no more", async () => {
  const clock = new VirtualClock();
  const backend = new LosableBackend({ now: clock.now });
  const [limiter] = workersOf(1, clock, backend);
  backend.lost = true;
  ask(limiter, 60);
  await clock.pass(10 * MINUTE);
  assert.ok(backend.uses < 80, String(backend.uses));
});

Deno.test("rows that no worker has written tell nothing", async () => {
  const clock = new VirtualClock();
  const backend = new MemoryBackend({ now: clock.now });
  const [limiter] = workersOf(1, clock, backend);
  const second = Math.floor(clock.now() / 1000);
  const good = { version: 1, at: clock.now(), requests: [[second, 7]], tokens: [] };
  const rows = [
    { ...good, version: 2 },
    { ...good, requests: [[second, -5]] },
    { ...good, requests: [[second, 1e300]] },
    { ...good, requests: { length: 1 } },
    { ...good, tokens: Array.from({ length: 1_000 }, (_, i) => [i, 1]) },
    { ...good, at: clock.now() - 200_000 },
    null,
  ].map((row) => JSON.stringify(row));
  for (const [i, row] of [...rows, "{"].entries()) {
    const value = new TextEncoder().encode(row);
    await backend.atomic([], [{ type: "set", key: ["~", "rate", "acme", `bad-${i}`], value }]);
  }
  const value = new TextEncoder().encode(JSON.stringify(good));
  await backend.atomic([], [{ type: "set", key: ["~", "rate", "acme", "good"], value }]);
  ask(limiter, 60);
  await clock.settle();
  assert.equal(limiter.left("acme", "requests", 60).remaining, 52);
});

Deno.test("a clock that is set back lets nothing count for ever, nor puts off hearing of others", async () => {
  let now = 1_700_000_000_000;
  const waits: number[] = [];
  let due = () => {};
  const exchange = { publish: () => Promise.resolve(), others: () => Promise.resolve(new Map()) };
  const later = (work: () => void, milliseconds: number) => {
    due = work;
    waits.push(milliseconds);
  };
  const limiter = new RateLimiter({ exchange, now: () => now, later });
  assert.ok(ask(limiter, 1));
  const { settle } = new VirtualClock();
  await settle();
  now += 1_000;
  due();
  await settle();
  now -= 3_600_000;
  assert.ok(ask(limiter, 1));
  assert.ok(!ask(limiter, 1));
  assert.deepEqual(waits, [1_000, 1_000, 1_000]);
});

Deno.test("tenants that come no more are let go", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  for (let i = 0; i < 50; i++) ask(limiter, 1, `tenant-${i}`);
  assert.equal(limiter.size, 50);
  await clock.pass(10 * MINUTE);
  ask(limiter, 1, "another");
  assert.equal(limiter.size, 1);
});

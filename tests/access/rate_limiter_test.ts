/** Limits per minute on one worker, and on several workers that share a store. */

import assert from "node:assert/strict";
import { RateLimiter } from "../../src/access/rate_limiter.ts";
import { InferenceError } from "../../src/core/errors.ts";
import type { Entry } from "../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { seeded } from "../support/random_data.ts";
import { tryRequest, VirtualClock, workersOf } from "./rate_fixtures.ts";

const MINUTE = 60_000;

/** Returns the largest amount accepted in any 60 seconds. */
function maxPerMinute(accepted: readonly { at: number; amount: number }[]): number {
  return Math.max(
    0,
    ...accepted.map(({ at: begin }) =>
      accepted.filter(({ at }) => at >= begin && at < begin + MINUTE)
        .reduce((sum, { amount }) => sum + amount, 0)
    ),
  );
}

function tryTokens(limiter: RateLimiter, limit: number, amount: number): boolean {
  if (limiter.wait("acme", "tokens", { limit, amount }) > 0) return false;
  limiter.add("acme", "tokens", amount);
  return true;
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  Deno.test(`no 60 seconds exceed the limit, and a request succeeds after its wait, seed ${seed}`, async () => {
    const random = seeded(seed);
    const clock = new VirtualClock();
    const [limiter] = workersOf(1, clock);
    const limit = 1 + Math.floor(random() * 40);
    const accepted: { at: number; amount: number }[] = [];
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      // Bursts, pauses and evenly spaced requests.
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
      assert.ok(tryTokens(limiter, limit, amount), `after ${wait} ms`);
      accepted.push({ at: clock.now(), amount });
    }
    assert.ok(refused > 0);
    assert.ok(maxPerMinute(accepted) <= limit, `${maxPerMinute(accepted)} of ${limit}`);
  });
}

Deno.test("the whole limit is available at the start, and again one minute later but not before", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  const burst = () =>
    Array.from({ length: 90 }, () => tryRequest(limiter, 60)).filter(Boolean).length;
  assert.deepEqual(limiter.left("acme", "requests", 60), { limit: 60, remaining: 60, reset: 0 });
  assert.equal(burst(), 60);
  const { remaining, reset } = limiter.left("acme", "requests", 60);
  assert.deepEqual([remaining, reset], [0, 60_700]);
  await clock.pass(reset - 1);
  assert.equal(burst(), 0);
  await clock.pass(1);
  assert.equal(burst(), 60);
});

Deno.test("tenants and quantities are limited independently", () => {
  const [limiter] = workersOf(1, new VirtualClock());
  assert.ok(tryRequest(limiter, 1));
  assert.ok(!tryRequest(limiter, 1));
  assert.ok(tryTokens(limiter, 1, 1));
  assert.ok(tryRequest(limiter, 1, "other"));
  assert.equal(limiter.left("third", "requests", 1).remaining, 1);
});

Deno.test("a refund reduces only the second in which the amount was added", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  const refund = limiter.add("acme", "tokens", 100);
  await clock.pass(2_000);
  limiter.add("acme", "tokens", 5);
  refund(40);
  assert.equal(limiter.left("acme", "tokens", 100).remaining, 35);
  await clock.pass(59_000);
  refund(10);
  assert.equal(limiter.left("acme", "tokens", 100).remaining, 95);
});

Deno.test("an amount above the limit is accepted when nothing else counts", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  assert.ok(tryTokens(limiter, 10, 1));
  const wait = limiter.wait("acme", "tokens", { limit: 10, amount: 25 });
  await clock.pass(wait);
  assert.ok(tryTokens(limiter, 10, 25));
  assert.ok(!tryTokens(limiter, 10, 1));
});

/** Sends requests to each worker until it rejects one, and returns the number of accepted ones. */
function burstOf(workers: readonly RateLimiter[], limit: number): number {
  return workers.reduce((sum, limiter) => {
    let accepted = 0;
    while (tryRequest(limiter, limit)) accepted++;
    return sum + accepted;
  }, 0);
}

Deno.test("workers apply the usage of other workers within two seconds", async () => {
  const clock = new VirtualClock();
  const workers = workersOf(3, clock);
  assert.equal(burstOf(workers.slice(0, 1), 60), 60);
  await clock.pass(1_000);
  for (const other of workers.slice(1)) tryRequest(other, 60);
  await clock.pass(1_000);
  assert.equal(burstOf(workers, 60), 0);
  const { remaining, reset } = workers[2].left("acme", "requests", 60);
  assert.equal(remaining, 0);
  assert.ok(reset > 57_000, String(reset));
});

for (const [count, amount] of [[2, 1], [3, 1], [10, 1], [3, 30], [10, 30]]) {
  Deno.test(`${count} saturated workers, ${amount} per request, accept no more than the documented amount`, async () => {
    const clock = new VirtualClock();
    const workers = workersOf(count, clock);
    const limit = 100;
    // For six minutes, each worker accepts as many requests as possible every 200 ms.
    const accepted: { at: number; amount: number }[] = [];
    for (let step = 0; step < 6 * 300; step++) {
      for (const worker of workers) {
        while (tryTokens(worker, limit, amount)) accepted.push({ at: clock.now(), amount });
      }
      await clock.pass(200);
    }
    const exchanged = accepted[0].at + MINUTE;
    assert.ok(maxPerMinute(accepted.filter(({ at }) => at < exchanged)) <= count * limit);
    const max = maxPerMinute(accepted.filter(({ at }) => at >= exchanged));
    assert.ok(max > limit - amount && max <= 1.5 * limit + count * amount, String(max));
  });
}

/** Traffic patterns: milliseconds until the next request, and the worker that gets it. */
const TRAFFIC_PATTERNS: Record<
  string,
  (random: () => number, i: number, count: number) => [number, number]
> = {
  "round-robin, fast": (_, i, count) => [150, i % count],
  "round-robin, slow": (_, i, count) => [600, i % count],
  "random": (random, _, count) => [600 * random(), random() * count],
  "round-robin with pauses": (
    random,
    i,
    count,
  ) => [random() < 0.05 ? 20_000 * random() : 100, i % count],
  "bursts to one worker": (
    random,
    i,
    count,
  ) => [i % 50 === 0 ? 7_000 * random() : 10, (i / 50) % count],
};

for (const [pattern, next] of Object.entries(TRAFFIC_PATTERNS)) {
  for (const count of [2, 5, 12]) {
    Deno.test(`${count} workers under traffic "${pattern}" accept no more than the documented amount`, async () => {
      const random = seeded(count);
      const clock = new VirtualClock();
      const workers = workersOf(count, clock);
      const limit = 30;
      const accepted: { at: number; amount: number }[] = [];
      let refused = 0;
      const begin = clock.now();
      for (let i = 0; clock.now() < begin + 8 * MINUTE; i++) {
        const [pause, worker] = next(random, i, count);
        if (tryRequest(workers[Math.floor(worker)], limit)) {
          accepted.push({ at: clock.now(), amount: 1 });
        } else refused++;
        await clock.pass(Math.floor(pause));
      }
      const exchanged = accepted[0].at + MINUTE;
      const max = maxPerMinute(accepted.filter(({ at }) => at >= exchanged));
      assert.ok(refused > 0 && max >= limit - 2, `${max}, ${refused}`);
      assert.ok(max <= 1.5 * limit + count, `${max} of ${limit}`);
    });
  }
}

Deno.test("workers behind a round-robin load balancer apply a limit nearly as one worker does", async () => {
  for (const [count, limit, pause] of [[12, 30, 600], [25, 10, 600], [12, 20, 1_000]]) {
    const clock = new VirtualClock();
    const workers = workersOf(count, clock);
    const accepted: { at: number; amount: number }[] = [];
    const begin = clock.now();
    for (let i = 0; clock.now() < begin + 5 * MINUTE; i++) {
      if (tryRequest(workers[i % count], limit)) accepted.push({ at: clock.now(), amount: 1 });
      await clock.pass(pause);
    }
    const max = maxPerMinute(accepted.filter(({ at }) => at >= begin + MINUTE));
    assert.ok(
      max >= limit - 1 && max <= 1.1 * limit + 1,
      `${max} of ${limit}, ${count} workers`,
    );
  }
});

Deno.test("a worker that knows of another one uses its share first and the rest after an exchange", async () => {
  const clock = new VirtualClock();
  const [one, two] = workersOf(2, clock);
  tryRequest(one, 60);
  tryRequest(two, 60);
  await clock.pass(1_500);
  tryRequest(one, 60);
  tryRequest(two, 60);
  await clock.pass(61_000);
  // The workers still know each other, and no amount counts any longer.
  assert.equal(burstOf([one], 60), 30);
  const wait = one.wait("acme", "requests", { limit: 60, amount: 1 });
  assert.ok(wait > 0 && wait <= 2_000, String(wait));
  await clock.pass(wait);
  assert.ok(tryRequest(one, 60));
});

/** A backend that can be unavailable, and counts its calls. */
class UnavailableBackend extends MemoryBackend {
  unavailable = false;
  calls = 0;

  override async atomic(...args: Parameters<MemoryBackend["atomic"]>) {
    this.#recordCall();
    return await super.atomic(...args);
  }

  override async *list(...args: Parameters<MemoryBackend["list"]>): AsyncIterable<Entry> {
    this.#recordCall();
    yield* super.list(...args);
  }

  #recordCall(): void {
    this.calls++;
    if (this.unavailable) throw new InferenceError("store_unavailable", "the store is down");
  }
}

Deno.test("without its store a worker applies its own counts and publishes them later", async () => {
  const clock = new VirtualClock();
  const backend = new UnavailableBackend({ now: clock.now });
  const [one, two] = workersOf(2, clock, backend);
  backend.unavailable = true;
  assert.equal(burstOf([one], 60), 60);
  await clock.pass(5_000);
  assert.equal(burstOf([one], 60), 0);
  assert.equal(burstOf([two], 60), 60);
  backend.unavailable = false;
  await clock.pass(2_000);
  tryRequest(one, 60);
  await clock.settle();
  assert.equal(one.left("acme", "requests", 200).remaining, 80);
});

Deno.test("the store is used once a second for an active tenant, and not for an idle one", async () => {
  const clock = new VirtualClock();
  const backend = new UnavailableBackend({ now: clock.now });
  const [limiter] = workersOf(1, clock, backend);
  for (let i = 0; i < 100; i++) {
    tryRequest(limiter, 1_000);
    await clock.pass(100);
  }
  await clock.pass(2_000);
  const { calls } = backend;
  // Each exchange is one write and one list.
  assert.ok(calls >= 20 && calls <= 24, String(calls));
  // Exchanges of an idle tenant become rarer and then stop.
  await clock.pass(3 * MINUTE);
  assert.ok(backend.calls - calls < 30, String(backend.calls - calls));
  const { calls: last } = backend;
  await clock.pass(10 * MINUTE);
  assert.equal(backend.calls, last);
});

Deno.test("retries stop when the amounts to publish have expired", async () => {
  const clock = new VirtualClock();
  const backend = new UnavailableBackend({ now: clock.now });
  const [limiter] = workersOf(1, clock, backend);
  backend.unavailable = true;
  tryRequest(limiter, 60);
  await clock.pass(10 * MINUTE);
  assert.ok(backend.calls < 80, String(backend.calls));
});

Deno.test("invalid rate rows are ignored", async () => {
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
  tryRequest(limiter, 60);
  await clock.settle();
  assert.equal(limiter.left("acme", "requests", 60).remaining, 52);
});

Deno.test("amounts expire and exchanges continue after the clock is set back", async () => {
  let now = 1_700_000_000_000;
  const waits: number[] = [];
  let runTimer = () => {};
  const exchange = { publish: () => Promise.resolve(), others: () => Promise.resolve(new Map()) };
  const later = (work: () => void, milliseconds: number) => {
    runTimer = work;
    waits.push(milliseconds);
  };
  const limiter = new RateLimiter({ exchange, now: () => now, later });
  assert.ok(tryRequest(limiter, 1));
  const { settle } = new VirtualClock();
  await settle();
  now += 1_000;
  runTimer();
  await settle();
  now -= 3_600_000;
  assert.ok(tryRequest(limiter, 1));
  assert.ok(!tryRequest(limiter, 1));
  assert.deepEqual(waits, [1_000, 1_000, 1_000]);
});

Deno.test("idle tenants are removed", async () => {
  const clock = new VirtualClock();
  const [limiter] = workersOf(1, clock);
  for (let i = 0; i < 50; i++) tryRequest(limiter, 1, `tenant-${i}`);
  assert.equal(limiter.size, 50);
  await clock.pass(10 * MINUTE);
  tryRequest(limiter, 1, "another");
  assert.equal(limiter.size, 1);
});

import assert from "node:assert/strict";
import type { InferenceError } from "../../../src/core/errors.ts";
import { CallWatchdog, type TimeoutLimits } from "../../../src/engine/supervisor/call_watchdog.ts";
import { FakeTimers } from "../../support/faults/fake_timers.ts";

const LIMITS = { minMs: 30_000, unmeasuredMs: 600_000 };

function calls(limits: TimeoutLimits | null = LIMITS) {
  const timers = new FakeTimers();
  const silences: InferenceError[] = [];
  const calls = new CallWatchdog({ timers, limits, onTimeout: (error) => silences.push(error) });
  /** Makes a call that takes the given time. */
  const take = async (work: number, milliseconds: number) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watched = calls.watch(work, promise);
    timers.pass(milliseconds);
    resolve();
    await watched;
    // Let the handlers of the completed call run.
    await new Promise((resolve) => setTimeout(resolve));
  };
  const start = (work: number) => {
    const call = Promise.withResolvers<void>();
    calls.watch(work, call.promise).catch(() => {});
    return call;
  };
  return { timers, silences, calls, take, start };
}

Deno.test("the timeout is half a minute, and longer until the device's speed is known", async () => {
  const { timers, silences, take, start } = calls();
  start(1);
  timers.pass(600_999);
  assert.equal(silences.length, 0);
  timers.pass(1);
  assert.deepEqual(silences.map(({ code, fault }) => [code, fault]), [["device_lost", "hung"]]);
  const known = calls();
  await known.take(1, 10);
  known.start(1);
  known.timers.pass(30_999);
  assert.equal(known.silences.length, 0);
  known.timers.pass(1);
  assert.equal(known.silences.length, 1);
  await take(0, 1);
});

Deno.test("the timeout grows with the device's time per token", async () => {
  const { timers, silences, take, start } = calls();
  await take(4, 40_000);
  start(256);
  timers.pass(20 * 10_000 * 256);
  assert.equal(silences.length, 0);
  timers.pass(1000);
  assert.equal(silences.length, 1);
});

Deno.test("the slowest time per token decays", async () => {
  const { timers, silences, take, start } = calls();
  await take(1, 500_000);
  for (let i = 0; i < 150; i++) await take(1, 10);
  start(1);
  timers.pass(31_000);
  assert.equal(silences.length, 1);
});

Deno.test("queued calls that complete one by one do not time out", async () => {
  const { timers, silences, take, start } = calls();
  await take(1, 10);
  const waiting = Array.from({ length: 20 }, () => start(1));
  for (const { resolve } of waiting) {
    timers.pass(20_000);
    resolve();
    await new Promise((resolve) => setTimeout(resolve));
  }
  timers.pass(1e9);
  assert.equal(silences.length, 0);
});

Deno.test("a reply that arrives within the grace period prevents the timeout", async () => {
  const { timers, silences, take, start } = calls();
  await take(1, 10);
  const { resolve } = start(1);
  timers.pass(30_500);
  resolve();
  await new Promise((resolve) => setTimeout(resolve));
  timers.pass(1e9);
  assert.equal(silences.length, 0);
});

Deno.test("calls without limits never time out, and rejectAll rejects all of them", async () => {
  const { timers, silences, calls: endless } = calls(null);
  const open = [1, 2].map(() => endless.watch(1, new Promise<never>(() => {})));
  timers.pass(1e12);
  assert.equal(silences.length, 0);
  const gone = new Error("gone");
  endless.rejectAll(gone);
  for (const call of open) await assert.rejects(call, gone);
});

import assert from "node:assert/strict";
import type { InferenceError } from "../../../src/core/errors.ts";
import { CallWatchdog, type TimeoutLimits } from "../../../src/engine/supervisor/call_watchdog.ts";
import { FakeTimers } from "../../support/faults/fake_timers.ts";

const LIMITS = { minMs: 30_000, unmeasuredMs: 600_000 };

function calls(limits: TimeoutLimits | null = LIMITS) {
  const timers = new FakeTimers();
  const silences: InferenceError[] = [];
  const calls = new CallWatchdog({ timers, limits, onTimeout: (error) => silences.push(error) });
  /** A call that takes so long. */
  const take = async (work: number, milliseconds: number) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watched = calls.watch(work, promise);
    timers.pass(milliseconds);
    resolve();
    await watched;
    // What follows a call's end runs after it.
    await new Promise((resolve) => setTimeout(resolve));
  };
  const start = (work: number) => {
    const call = Promise.withResolvers<void>();
    calls.watch(work, call.promise).catch(() => {});
    return call;
  };
  return { timers, silences, calls, take, start };
}

Deno.test("a call may take half a minute, and longer while nothing is known of a slow device", async () => {
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

Deno.test("a device that takes its time by the token gets it", async () => {
  const { timers, silences, take, start } = calls();
  await take(4, 40_000);
  start(256);
  timers.pass(20 * 10_000 * 256);
  assert.equal(silences.length, 0);
  timers.pass(1000);
  assert.equal(silences.length, 1);
});

Deno.test("how slow a device once was is forgotten", async () => {
  const { timers, silences, take, start } = calls();
  await take(1, 500_000);
  for (let i = 0; i < 150; i++) await take(1, 10);
  start(1);
  timers.pass(31_000);
  assert.equal(silences.length, 1);
});

Deno.test("calls that come back one by one are no silence, however many wait", async () => {
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

Deno.test("a reply that was held up with this thread is found at the second look", async () => {
  const { timers, silences, take, start } = calls();
  await take(1, 10);
  const { resolve } = start(1);
  timers.pass(30_500);
  resolve();
  await new Promise((resolve) => setTimeout(resolve));
  timers.pass(1e9);
  assert.equal(silences.length, 0);
});

Deno.test("calls without limits may take as long as they like, and all end together", async () => {
  const { timers, silences, calls: endless } = calls(null);
  const open = [1, 2].map(() => endless.watch(1, new Promise<never>(() => {})));
  timers.pass(1e12);
  assert.equal(silences.length, 0);
  const gone = new Error("gone");
  endless.rejectAll(gone);
  for (const call of open) await assert.rejects(call, gone);
});

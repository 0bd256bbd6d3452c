import assert from "node:assert/strict";
import type { InferenceError } from "../../../src/core/errors.ts";
import { CallWatchdog, type TimeoutLimits } from "../../../src/engine/supervisor/call_watchdog.ts";
import { FakeTimers } from "../../support/faults/fake_timers.ts";

const LIMITS = { minMs: 30_000, unmeasuredMs: 600_000 };

function calls(limits: TimeoutLimits | null = LIMITS) {
  const timers = new FakeTimers();
  const timeouts: InferenceError[] = [];
  const calls = new CallWatchdog({ timers, limits, onTimeout: (error) => timeouts.push(error) });
  /** Makes a call that takes the given time. */
  const completeCall = async (work: number, milliseconds: number) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watched = calls.watch(work, promise);
    timers.advance(milliseconds);
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
  return { timers, timeouts, calls, completeCall, start };
}

Deno.test("the timeout is half a minute, and longer until the device's speed is known", async () => {
  const { timers, timeouts, completeCall, start } = calls();
  start(1);
  timers.advance(600_999);
  assert.equal(timeouts.length, 0);
  timers.advance(1);
  assert.deepEqual(timeouts.map(({ code, fault }) => [code, fault]), [["device_lost", "hung"]]);
  const measured = calls();
  await measured.completeCall(1, 10);
  measured.start(1);
  measured.timers.advance(30_999);
  assert.equal(measured.timeouts.length, 0);
  measured.timers.advance(1);
  assert.equal(measured.timeouts.length, 1);
  await completeCall(0, 1);
});

Deno.test("the timeout grows with the device's time per token", async () => {
  const { timers, timeouts, completeCall, start } = calls();
  await completeCall(4, 40_000);
  start(256);
  timers.advance(20 * 10_000 * 256);
  assert.equal(timeouts.length, 0);
  timers.advance(1000);
  assert.equal(timeouts.length, 1);
});

Deno.test("the slowest time per token decays", async () => {
  const { timers, timeouts, completeCall, start } = calls();
  await completeCall(1, 500_000);
  for (let i = 0; i < 150; i++) await completeCall(1, 10);
  start(1);
  timers.advance(31_000);
  assert.equal(timeouts.length, 1);
});

Deno.test("queued calls that complete one by one do not time out", async () => {
  const { timers, timeouts, completeCall, start } = calls();
  await completeCall(1, 10);
  const waiting = Array.from({ length: 20 }, () => start(1));
  for (const { resolve } of waiting) {
    timers.advance(20_000);
    resolve();
    await new Promise((resolve) => setTimeout(resolve));
  }
  timers.advance(1e9);
  assert.equal(timeouts.length, 0);
});

Deno.test("a reply that arrives within the grace period prevents the timeout", async () => {
  const { timers, timeouts, completeCall, start } = calls();
  await completeCall(1, 10);
  const { resolve } = start(1);
  timers.advance(30_500);
  resolve();
  await new Promise((resolve) => setTimeout(resolve));
  timers.advance(1e9);
  assert.equal(timeouts.length, 0);
});

Deno.test("calls without limits never time out, and rejectAll rejects all of them", async () => {
  const { timers, timeouts, calls: watchdog } = calls(null);
  const open = [1, 2].map(() => watchdog.watch(1, new Promise<never>(() => {})));
  timers.advance(1e12);
  assert.equal(timeouts.length, 0);
  const failure = new Error("failed");
  watchdog.rejectAll(failure);
  for (const call of open) await assert.rejects(call, failure);
});

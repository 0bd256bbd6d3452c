import assert from "node:assert/strict";
import { parseRetryAfter, retry, retryDelay, TransientError } from "../../src/hub/retry.ts";

const SOON = { retryAfter: 0 };

Deno.test("retry stops after the maximum number of attempts without progress", async () => {
  let tries = 0;
  const failing = retry(() => {
    tries++;
    return Promise.reject(new TransientError("down", SOON));
  }, { maxAttempts: 3 });
  await assert.rejects(failing, { code: "hub_error", message: "down" });
  assert.equal(tries, 3);
  const progressing = await retry((onProgress) => {
    if (++tries === 20) return Promise.resolve("done");
    onProgress();
    return Promise.reject(new TransientError("lost", SOON));
  }, { maxAttempts: 3 });
  assert.equal(progressing, "done");
});

Deno.test("other errors pass through, and cancellation ends a delay", async () => {
  const bug = new TypeError("bug");
  await assert.rejects(
    retry(() => Promise.reject(bug), { maxAttempts: 9 }),
    (error) => error === bug,
  );
  const controller = new AbortController();
  const waiting = retry(
    () => Promise.reject(new TransientError("down", { retryAfter: 500 })),
    { maxAttempts: 9, signal: controller.signal, onRetry: () => controller.abort() },
  );
  await assert.rejects(waiting, { code: "cancelled" });
  const long = retry(
    () => Promise.reject(new TransientError("busy", { retryAfter: 7200 })),
    { maxAttempts: 9 },
  );
  await assert.rejects(long, { code: "hub_error", message: /^busy; retry in 7200 s$/ });
});

Deno.test("delays double up to 30 s; retry-after is a number of seconds or a date", () => {
  const delays = Array.from({ length: 10 }, (_, i) => retryDelay(i + 1, () => 0.5));
  assert.deepEqual(delays, [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
  assert.ok(retryDelay(1, () => 0) < 0.2 && retryDelay(1, () => 1) > 0.3);
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(parseRetryAfter("12", now), 12);
  assert.equal(parseRetryAfter("Thu, 01 Jan 2026 00:01:00 GMT", now), 60);
  assert.equal(parseRetryAfter("Thu, 01 Jan 2025 00:01:00 GMT", now), 0);
  assert.equal(parseRetryAfter("soon", now), undefined);
  assert.equal(parseRetryAfter(null, now), undefined);
});

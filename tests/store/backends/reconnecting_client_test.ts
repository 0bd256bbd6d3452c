/** A link over handles that are only numbers. */

import assert from "node:assert/strict";
import {
  ReconnectingClient,
  TimeoutError,
} from "../../../src/store/backends/reconnecting_client.ts";

const PATIENT = 60_000;
const never = <T>() => new Promise<T>(() => {});

/** A link whose openings do what `opening` says, the nth one with n. */
function numbered(opening: (n: number) => Promise<number> = (n) => Promise.resolve(n)) {
  const changes: unknown[] = [];
  const closed: number[] = [];
  let opened = 0;
  const link = new ReconnectingClient<number>({
    open: () => opening(++opened),
    close: (handle) => void closed.push(handle),
    onChange: (error) => changes.push(error === null ? null : (error as Error).message),
  });
  return { link, changes, closed, opened: () => opened };
}

const echo = (handle: number) => Promise.resolve(handle);

Deno.test("link: uses share one handle as long as it works", async () => {
  const { link, closed, changes } = numbered();
  const handles = await Promise.all([1, 2, 3].map(() => link.use(echo, PATIENT)));
  assert.deepEqual(handles, [1, 1, 1]);
  link.close();
  await assert.rejects(link.use(echo, PATIENT), /closed/);
  assert.deepEqual([closed, changes], [[1], []]);
});

Deno.test("link: what is not answered ends in time, and the next use has a new handle", async () => {
  const { link, closed, changes } = numbered();
  await assert.rejects(link.use(() => never(), 5), TimeoutError);
  assert.deepEqual(closed, [1]);
  assert.equal(await link.use(echo, PATIENT), 2);
  assert.deepEqual(changes, ["there was no response in time", null]);
});

Deno.test("link: an operation that fails late or after its handle was given up is nobody's", async () => {
  const { link, changes } = numbered();
  const late = Promise.withResolvers<number>();
  await assert.rejects(link.use(() => late.promise, 5), TimeoutError);
  assert.equal(await link.use(echo, PATIENT), 2);
  late.reject(new Error("late"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(await link.use(echo, PATIENT), 2);
  assert.equal(changes.length, 2);
});

Deno.test("link: what cannot be opened fails at once, and is opened anew for the next use", async () => {
  const { link, changes } = numbered((n) =>
    n < 3 ? Promise.reject(new Error(`down ${n}`)) : Promise.resolve(n)
  );
  const both = await Promise.allSettled([link.use(echo, PATIENT), link.use(echo, PATIENT)]);
  assert.deepEqual(both.map((one) => one.status === "rejected" && one.reason.message), [
    "down 1",
    "down 1",
  ]);
  await assert.rejects(link.use(echo, PATIENT), /down 2/);
  assert.equal(await link.use(echo, PATIENT), 3);
  assert.deepEqual(changes, ["down 1", null]);
});

Deno.test("link: an opening that hangs is waited for in time, by all together", async () => {
  const slow = Promise.withResolvers<number>();
  const { link, opened } = numbered(() => slow.promise);
  await assert.rejects(link.use(echo, 5), TimeoutError);
  await assert.rejects(link.use(echo, 5), TimeoutError);
  const third = link.use(echo, PATIENT);
  slow.resolve(7);
  assert.equal(await third, 7);
  assert.equal(opened(), 1);
});

Deno.test("link: few uses run at once on a handle, and who waits gets the next one", async () => {
  const { link } = numbered();
  let onFirst = 0;
  const operation = (handle: number) => handle === 1 ? (onFirst++, never<number>()) : echo(handle);
  const impatient = link.use(operation, 20);
  const stuck = Array.from({ length: 50 }, () => link.use(operation, 200));
  const outcomes = await Promise.allSettled([impatient, ...stuck]);
  assert.equal(onFirst, 16);
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 16);
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") assert.equal(outcome.value, 2);
    else assert.ok(outcome.reason instanceof TimeoutError);
  }
});

Deno.test("link: who waits for its turn in vain ends in time and takes nobody's turn", async () => {
  const { link, closed } = numbered();
  const gate = Promise.withResolvers<number>();
  const running = Array.from({ length: 16 }, () => link.use(() => gate.promise, PATIENT));
  await assert.rejects(link.use(echo, 5), TimeoutError);
  gate.resolve(0);
  await Promise.all(running);
  const next = await Promise.all(Array.from({ length: 16 }, () => link.use(echo, PATIENT)));
  assert.deepEqual([new Set(next), closed], [new Set([1]), []]);
});

/** The reconnecting client with numbers as handles. */

import assert from "node:assert/strict";
import {
  ReconnectingClient,
  TimeoutError,
} from "../../../src/store/backends/reconnecting_client.ts";

const LONG_TIMEOUT = 60_000;
const never = <T>() => new Promise<T>(() => {});

/** Creates a client that opens its nth handle by `open(n)`. */
function createClient(open: (n: number) => Promise<number> = (n) => Promise.resolve(n)) {
  const changes: unknown[] = [];
  const closed: number[] = [];
  let opened = 0;
  const client = new ReconnectingClient<number>({
    open: () => open(++opened),
    close: (handle) => void closed.push(handle),
    onChange: (error) => changes.push(error === null ? null : (error as Error).message),
  });
  return { client, changes, closed, opened: () => opened };
}

const echo = (handle: number) => Promise.resolve(handle);

Deno.test("reconnecting client: uses share one handle while it works", async () => {
  const { client, closed, changes } = createClient();
  const handles = await Promise.all([1, 2, 3].map(() => client.use(echo, LONG_TIMEOUT)));
  assert.deepEqual(handles, [1, 1, 1]);
  client.close();
  await assert.rejects(client.use(echo, LONG_TIMEOUT), /closed/);
  assert.deepEqual([closed, changes], [[1], []]);
});

Deno.test("reconnecting client: an operation that hangs times out, and the next use opens a new handle", async () => {
  const { client, closed, changes } = createClient();
  await assert.rejects(client.use(() => never(), 5), TimeoutError);
  assert.deepEqual(closed, [1]);
  assert.equal(await client.use(echo, LONG_TIMEOUT), 2);
  assert.deepEqual(changes, ["there was no response in time", null]);
});

Deno.test("reconnecting client: the late failure of an operation on a replaced handle is ignored", async () => {
  const { client, changes } = createClient();
  const late = Promise.withResolvers<number>();
  await assert.rejects(client.use(() => late.promise, 5), TimeoutError);
  assert.equal(await client.use(echo, LONG_TIMEOUT), 2);
  late.reject(new Error("late"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(await client.use(echo, LONG_TIMEOUT), 2);
  assert.equal(changes.length, 2);
});

Deno.test("reconnecting client: a failed opening fails its users, and the next use tries again", async () => {
  const { client, changes } = createClient((n) =>
    n < 3 ? Promise.reject(new Error(`down ${n}`)) : Promise.resolve(n)
  );
  const both = await Promise.allSettled([
    client.use(echo, LONG_TIMEOUT),
    client.use(echo, LONG_TIMEOUT),
  ]);
  assert.deepEqual(both.map((one) => one.status === "rejected" && one.reason.message), [
    "down 1",
    "down 1",
  ]);
  await assert.rejects(client.use(echo, LONG_TIMEOUT), /down 2/);
  assert.equal(await client.use(echo, LONG_TIMEOUT), 3);
  assert.deepEqual(changes, ["down 1", null]);
});

Deno.test("reconnecting client: all users share an opening that hangs, and time out on their own", async () => {
  const slow = Promise.withResolvers<number>();
  const { client, opened } = createClient(() => slow.promise);
  await assert.rejects(client.use(echo, 5), TimeoutError);
  await assert.rejects(client.use(echo, 5), TimeoutError);
  const third = client.use(echo, LONG_TIMEOUT);
  slow.resolve(7);
  assert.equal(await third, 7);
  assert.equal(opened(), 1);
});

Deno.test("reconnecting client: concurrency per handle is limited, and waiting uses get the next handle", async () => {
  const { client } = createClient();
  let onFirst = 0;
  const operation = (handle: number) => handle === 1 ? (onFirst++, never<number>()) : echo(handle);
  const first = client.use(operation, 20);
  const stuck = Array.from({ length: 50 }, () => client.use(operation, 200));
  const outcomes = await Promise.allSettled([first, ...stuck]);
  assert.equal(onFirst, 16);
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 16);
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") assert.equal(outcome.value, 2);
    else assert.ok(outcome.reason instanceof TimeoutError);
  }
});

Deno.test("reconnecting client: a use that times out while queued does not take the place of a later one", async () => {
  const { client, closed } = createClient();
  const blocker = Promise.withResolvers<number>();
  const running = Array.from({ length: 16 }, () => client.use(() => blocker.promise, LONG_TIMEOUT));
  await assert.rejects(client.use(echo, 5), TimeoutError);
  blocker.resolve(0);
  await Promise.all(running);
  const next = await Promise.all(Array.from({ length: 16 }, () => client.use(echo, LONG_TIMEOUT)));
  assert.deepEqual([new Set(next), closed], [new Set([1]), []]);
});

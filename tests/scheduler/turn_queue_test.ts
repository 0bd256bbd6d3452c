import assert from "node:assert/strict";
import { TurnQueue } from "../../src/scheduler/turn_queue.ts";

function queue(...keys: string[]) {
  const turns = new TurnQueue<{ key: string; id: number }>();
  keys.forEach((key, id) => turns.push({ key, id }));
  return turns;
}

Deno.test("first come, first served within a key; the key with the fewest running comes first", () => {
  const turns = queue("a", "a", "b", "a", "c", "b");
  const running: { key: string; id: number }[] = [];
  for (let turn = turns.next(running); turn; turn = turns.next(running)) running.push(turn);
  assert.deepEqual(running.map(({ id }) => id), [0, 2, 4, 1, 5, 3]);
  assert.equal(turns.length, 0);
});

Deno.test("turns are counted by key, and taken out by a test", () => {
  const turns = queue("a", "b", "a");
  assert.equal(turns.count("a"), 2);
  assert.deepEqual(turns.take(({ id }) => id !== 1).map(({ id }) => id), [0, 2]);
  assert.equal(turns.count("a"), 0);
  assert.equal(turns.next([])!.id, 1);
  assert.equal(turns.next([]), undefined);
});

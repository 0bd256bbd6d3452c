import assert from "node:assert/strict";
import { TurnQueue } from "../../src/scheduler/admission.ts";

interface QueuedTurn {
  fairnessKey: string;
  id: number;
  followers: number[];
  request: object;
}

function queue(...keys: string[]) {
  const turns = new TurnQueue<QueuedTurn>();
  keys.forEach((key, id) => turns.push({ fairnessKey: key, id, followers: [], request: {} }));
  return turns;
}

Deno.test("first come, first served within a key; the key with the fewest running turns comes first", () => {
  const turns = queue("a", "a", "b", "a", "c", "b");
  const running: QueuedTurn[] = [];
  for (let turn = turns.next(running); turn; turn = turns.next(running)) running.push(turn);
  assert.deepEqual(running.map(({ id }) => id), [0, 2, 4, 1, 5, 3]);
  assert.equal(turns.length, 0);
});

Deno.test("counts turns by key and removes matching turns", () => {
  const turns = queue("a", "b", "a");
  assert.equal(turns.turnCount("a"), 2);
  assert.deepEqual(turns.remove(({ id }) => id !== 1).map(({ id }) => id), [0, 2]);
  assert.equal(turns.turnCount("a"), 0);
  assert.equal(turns.next([])!.id, 1);
  assert.equal(turns.next([]), undefined);
});

Deno.test("counts followers with their leader and inserts turns at the front", () => {
  const turns = queue("a", "b");
  turns.push({ fairnessKey: "b", id: 2, followers: [3, 4], request: {} });
  assert.deepEqual([turns.length, turns.turnCount(), turns.turnCount("b")], [3, 5, 4]);
  const request = {};
  turns.pushFront([5, 6].map((id) => ({ fairnessKey: "b", id, followers: [], request })));
  assert.deepEqual([turns.requestCount(), turns.requestCount("b"), turns.requestCount("c")], [
    4,
    3,
    0,
  ]);
  assert.deepEqual([1, 2, 3].map(() => turns.next([])!.id), [5, 6, 0]);
});

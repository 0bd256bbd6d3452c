import assert from "node:assert/strict";
import { type PreemptableTurn, turnToPreempt } from "../../src/scheduler/preemption.ts";

/** Running turns by key, in order of arrival. */
function running(keys: string, over: Partial<PreemptableTurn> = {}): PreemptableTurn[] {
  return [...keys].map((key, i) => ({
    fairnessKey: key,
    preempted: false,
    finishReason: null,
    startedAt: 100 * i,
    hasStepped: true,
    ...over,
  }));
}

function chosen(turns: PreemptableTurn[], key: string, { waiting = 1, now = 500 } = {}) {
  const turn = turnToPreempt(turns, { key, waiting, now });
  return turn && turns.indexOf(turn);
}

Deno.test("a key gives its latest slot to a key that has at least two fewer", () => {
  assert.equal(chosen(running("aaaa"), "b"), 3);
  assert.equal(chosen(running("aaab"), "b"), 2);
  assert.equal(chosen(running("aabb"), "b"), undefined);
  assert.equal(chosen(running("aabb"), "c"), 3);
  assert.equal(chosen(running("aaaa"), "a"), undefined);
  assert.equal(chosen(running("abbc"), "a"), undefined);
});

Deno.test("preempts no more turns than wait and than is fair", () => {
  const turns = running("aaaaaaaa");
  let leaving = 0;
  for (let at; (at = chosen(turns, "b", { waiting: 9 })) !== undefined; leaving++) {
    turns[at] = { ...turns[at], preempted: true };
  }
  assert.equal(leaving, 4);
  assert.equal(chosen([...running("aaa"), ...running("a", { preempted: true })], "b"), undefined);
  // A turn that has ended releases its slot anyway.
  assert.equal(
    chosen([...running("aaa"), ...running("a", { finishReason: "stop" })], "b"),
    undefined,
  );
});

Deno.test("with fewer slots than keys, each turn keeps its slot for one second", () => {
  assert.equal(chosen(running("ab"), "c", { now: 900 }), undefined);
  assert.equal(chosen(running("ab"), "c", { now: 1000 }), 0);
  assert.equal(chosen(running("ab"), "c", { now: 5000 }), 0);
  assert.equal(chosen(running("a"), "a", { now: 5000 }), undefined);
  // A turn without a step in its slot would never make progress.
  assert.equal(chosen(running("ab", { hasStepped: false }), "c", { now: 5000 }), undefined);
});

import assert from "node:assert/strict";
import { FairShare } from "../../src/scheduler/fair_share.ts";
import { StepCosts } from "../../src/scheduler/step_controller.ts";

const turns = (keys: string) => [...keys].map((key) => ({ fairnessKey: key }));
const selected = (share: FairShare, keys: string) =>
  share.select(turns(keys)).map(({ fairnessKey }) => fairnessKey).join("");

function costs(ms: Record<number, number>): StepCosts {
  const known = new StepCosts();
  for (const [count, one] of Object.entries(ms)) known.observe(Number(count), one);
  return known;
}

Deno.test("interpolates and extrapolates measured step costs", () => {
  const known = costs({ 4: 20, 8: 28 });
  assert.deepEqual([4, 8, 6, 5].map((count) => known.estimate(count)), [20, 28, 24, 22]);
  assert.deepEqual([1, 16].map((count) => known.estimate(count)), [5, 56]);
  assert.equal(new StepCosts().estimate(3), null);
  known.observe(4, 10);
  assert.equal(known.estimate(4), 15);
});

Deno.test("all keys share steps whose cost hardly depends on the number of turns", () => {
  const share = new FairShare(costs({ 1: 10, 5: 14 }));
  share.update(new Set("ab"));
  assert.equal(selected(share, "aaaab"), "aaaab");
  assert.equal(selected(share, "aaaa"), "aaaa");
});

Deno.test("the key with the least virtual time gets the next step if every turn costs the same", () => {
  const share = new FairShare(costs({ 1: 1, 9: 9 }));
  share.update(new Set("ab"));
  const used = { a: 0, b: 0 };
  for (let i = 0; i < 1000; i++) {
    const key = selected(share, "aaaaaaaab")[0] as "a" | "b";
    const ms = key === "a" ? 8 : 1;
    share.charge(turns(key === "a" ? "aaaaaaaa" : "b"), ms);
    used[key] += ms;
  }
  assert.ok(Math.abs(used.a - used.b) <= 8, JSON.stringify(used));
});

Deno.test("a new key gets a fixed credit, independent of its absence", () => {
  const share = new FairShare(costs({ 1: 1, 9: 9 }));
  share.update(new Set("a"));
  share.charge(turns("a"), 5000);
  share.update(new Set("ab"));
  assert.equal(share.virtualTime("a") - share.virtualTime("b"), 150);
  // The key gets no new credit when it leaves and returns immediately.
  share.charge(turns("b"), 140);
  share.update(new Set("a"));
  share.update(new Set("ab"));
  assert.equal(share.virtualTime("a") - share.virtualTime("b"), 10);
  share.update(new Set("b"));
  share.update(new Set());
  share.update(new Set("c"));
  assert.equal(share.virtualTime("c"), 0);
});

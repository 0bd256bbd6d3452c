import assert from "node:assert/strict";
import { planStep } from "../../src/scheduler/planner.ts";

Deno.test("turns that write come first, prompts share what is left in order of arrival", () => {
  assert.deepEqual(planStep([100, 1, 50, 1], 20), [
    { turn: 1, count: 1 },
    { turn: 3, count: 1 },
    { turn: 0, count: 18 },
  ]);
});

Deno.test("a step never exceeds its budget", () => {
  assert.deepEqual(planStep([1, 1, 1], 2), [{ turn: 0, count: 1 }, { turn: 1, count: 1 }]);
});

Deno.test("turns with nothing to feed are left out", () => {
  assert.deepEqual(planStep([0, 3], 8), [{ turn: 1, count: 3 }]);
  assert.deepEqual(planStep([], 8), []);
});

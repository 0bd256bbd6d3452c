import assert from "node:assert/strict";
import { type PlannableTurn, planStep } from "../../src/scheduler/planner.ts";
import { seeded } from "../support/random_data.ts";

function turn(feedable: number, key = "", writing = false): PlannableTurn {
  return { fairnessKey: key, schedulableTokens: feedable, decoding: writing };
}

/** Returns the number of tokens of each turn. */
function counts(turns: PlannableTurn[], tokens: number, prefillTokens = tokens): number[] {
  const plan = planStep(turns, { maxTokens: tokens, maxPrefillTokens: prefillTokens });
  return turns.map((turn) => plan.find((run) => run.turn === turn)?.count ?? 0);
}

Deno.test("decoding turns come first, prompts share the rest in order of arrival", () => {
  const turns = [turn(100), turn(1, "", true), turn(50), turn(1, "", true)];
  assert.deepEqual(counts(turns, 20), [18, 1, 0, 1]);
  assert.deepEqual(counts(turns, 140), [100, 1, 38, 1]);
  assert.deepEqual(
    planStep(turns, { maxTokens: 20, maxPrefillTokens: 20 }).map(({ turn }) => turn),
    [
      turns[1],
      turns[3],
      turns[0],
    ],
  );
});

Deno.test("a step that decodes has a smaller prefill budget", () => {
  assert.deepEqual(counts([turn(100), turn(1, "", true)], 64, 16), [16, 1]);
  assert.deepEqual(counts([turn(100)], 64, 16), [64]);
});

Deno.test("keys share the budget evenly and use all of it, regardless of their number of turns", () => {
  const turns = [turn(500, "a"), turn(500, "a"), turn(500, "a"), turn(500, "b")];
  assert.deepEqual(counts(turns, 100), [50, 0, 0, 50]);
  assert.deepEqual(counts([turn(10, "a"), turn(500, "b"), turn(500, "c")], 100), [10, 45, 45]);
  assert.deepEqual(counts([turn(500, "a"), turn(3, "b")], 100), [97, 3]);
});

Deno.test("skips turns without schedulable tokens", () => {
  assert.deepEqual(counts([turn(0), turn(3)], 8), [0, 3]);
  assert.deepEqual(counts([], 8), []);
});

/** Random turns as a scheduler has them: they arrive, prefill, decode and end. */
class Traffic {
  readonly #random: () => number;
  readonly turns: { key: string; prompt: number; reply: number; waited: number }[] = [];
  ended = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  arrive(): void {
    const pick = (most: number) => 1 + Math.floor(this.#random() * most);
    this.turns.push({
      key: `key ${pick(4)}`,
      prompt: this.#random() < 0.2 ? pick(4000) : pick(60),
      reply: pick(50),
      waited: 0,
    });
  }

  cancel(): void {
    if (this.turns.length > 0) {
      this.turns.splice(Math.floor(this.#random() * this.turns.length), 1);
      this.ended++;
    }
  }

  chance(of: number): boolean {
    return this.#random() < of;
  }
}

Deno.test("respects budgets and the order within a key, and starves no key", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const traffic = new Traffic(seed);
    const budget = { maxTokens: 64, maxPrefillTokens: 24 };
    let arrived = 0;
    for (let step = 0; step < 3000; step++) {
      if (step < 1500 && traffic.turns.length < 32 && traffic.chance(0.4)) {
        traffic.arrive();
        arrived++;
      }
      if (step < 1500 && traffic.chance(0.02)) traffic.cancel();
      const views = traffic.turns.map((turn) => ({
        turn,
        fairnessKey: turn.key,
        decoding: turn.prompt === 0,
        schedulableTokens: turn.prompt || 1,
      }));
      const plan = planStep(views, budget);
      const total = plan.reduce((sum, { count }) => sum + count, 0);
      const writing = plan.filter(({ turn }) => turn.decoding).length;
      assert.ok(total <= budget.maxTokens);
      assert.equal(writing, views.filter(({ decoding }) => decoding).length);
      if (writing > 0) assert.ok(total - writing <= budget.maxPrefillTokens);
      assert.equal(new Set(plan.map(({ turn }) => turn)).size, plan.length);
      for (const { turn, count } of plan) assert.ok(count >= 1 && count <= turn.schedulableTokens);
      // A step is as full as possible.
      const wanted = views.reduce(
        (sum, { decoding, schedulableTokens }) => decoding ? sum : sum + schedulableTokens,
        0,
      );
      const room = writing > 0
        ? Math.min(budget.maxPrefillTokens, budget.maxTokens - writing)
        : budget.maxTokens;
      assert.equal(total - writing, Math.min(wanted, room));
      // A key processes an earlier prompt to its end before a later one.
      for (
        const own of Map.groupBy(views.filter(({ decoding }) => !decoding), (v) => v.fairnessKey)
          .values()
      ) {
        const given = own.map((view) => plan.find(({ turn }) => turn === view)?.count ?? 0);
        const short = given.findIndex((count, i) => count < own[i].schedulableTokens);
        if (short >= 0) assert.ok(given.slice(short + 1).every((count) => count === 0));
        // Every key makes progress in each step.
        assert.ok(given[0] > 0, `seed ${seed}, step ${step}`);
      }
      for (const { turn: { turn }, count } of plan) {
        if (turn.prompt > 0) turn.prompt -= count;
        else if (--turn.reply === 0) {
          traffic.turns.splice(traffic.turns.indexOf(turn), 1);
          traffic.ended++;
        }
      }
    }
    assert.equal(traffic.turns.length, 0, `seed ${seed}: ${traffic.turns.length} never ended`);
    assert.equal(traffic.ended, arrived);
  }
});

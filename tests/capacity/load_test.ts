import assert from "node:assert/strict";
import { FORMS, meanOf, parseDistribution } from "../../capacity/distribution.ts";
import { type Conversation, conversations, type Load } from "../../capacity/load.ts";

const LOAD: Load = {
  arrivals: { perSecond: 10 },
  turns: 4,
  think: 20,
  prompt: parseDistribution("prompt", "exp:100"),
  reply: parseDistribution("reply", "10-20"),
};

/** When turns are asked for that take no time. */
function askedAt(all: readonly Conversation[], until: number): number[] {
  const times: number[] = [];
  for (const conversation of all) {
    let at = conversation.start;
    for (let i = 0; at < until; i++) {
      times.push(at);
      const { think } = conversation.turn(i);
      if (think === null) break;
      at += think;
    }
  }
  return times;
}

Deno.test("distributions have the means and quantiles that they are named by", () => {
  const mean = (form: string) => meanOf(parseDistribution("reply", form));
  assert.equal(mean("200"), 200);
  assert.ok(Math.abs(mean("10-30") - 20) < 0.01);
  assert.ok(Math.abs(mean("1,2,6") - 3) < 0.01);
  assert.ok(Math.abs(mean("exp:50") - 50) < 0.1);
  const log = parseDistribution("reply", "log:100:400");
  assert.ok(Math.abs(log(0.5) - 100) < 1e-6, `${log(0.5)}`);
  assert.ok(Math.abs(log(0.95) - 400) < 1e-3, `${log(0.95)}`);
  for (const random of [0, 1e-9, 1 - 2 ** -53]) assert.ok(log(random) > 0 && log(random) < 1e6);
  assert.deepEqual([0, 0.34, 0.99].map(parseDistribution("reply", "6,1,2")), [1, 2, 6]);
});

Deno.test("what is no distribution is refused, and named", () => {
  for (const form of ["", "x", "-5", "exp:", "exp:1:2", "log:5", "log:0:2", "1,,2", "2-", "1e99"]) {
    assert.throws(
      () => parseDistribution("reply", form),
      { code: "usage", message: `Cannot use --reply ${form}: it must be ${FORMS}` },
    );
  }
});

Deno.test("turns come at the rate that is asked for, from the beginning on", () => {
  const until = 400_000;
  const times = askedAt(conversations(LOAD, { seed: 3, until }), until);
  // Four deviations of a Poisson count, and something for turns of one conversation.
  for (const [from, to] of [[0, 20_000], [20_000, 100_000], [100_000, until]]) {
    const count = times.filter((time) => time >= from && time < to).length;
    const wanted = (to - from) / 100;
    assert.ok(Math.abs(count - wanted) < 5 * Math.sqrt(wanted), `${count}, not ${wanted}`);
  }
});

Deno.test("a number of conversations that go on for ever think and ask", () => {
  const until = 200_000;
  const load = { ...LOAD, arrivals: { conversations: 100 } };
  const all = conversations(load, { seed: 3, until });
  assert.ok(all.every(({ hasState: begun }) => begun));
  const count = askedAt(all, until).length;
  assert.ok(Math.abs(count - 1000) < 5 * Math.sqrt(1000), `${count}`);
});

Deno.test("conversations have as many turns as asked for in the mean", () => {
  const all = conversations({ ...LOAD, think: 0 }, { seed: 1, until: 1e6 });
  const turns = all.map((conversation) => {
    let count = 1;
    while (conversation.turn(count - 1).think !== null) count++;
    return count;
  });
  const mean = turns.reduce((sum, count) => sum + count, 0) / turns.length;
  assert.ok(Math.abs(mean - 4) < 0.3, `${mean}`);
});

Deno.test("a turn is the same whatever else there is", () => {
  const [few, many] = [10_000, 100_000].map((until) => conversations(LOAD, { seed: 9, until }));
  assert.ok(few.length > 0 && many.length > few.length);
  for (const [i, conversation] of few.entries()) {
    assert.deepEqual(many[i].start, conversation.start);
    assert.deepEqual(many[i].turn(3), conversation.turn(3));
  }
  const other = conversations(LOAD, { seed: 10, until: 10_000 });
  assert.notDeepEqual(other[0].turn(0), few[0].turn(0));
});

import assert from "node:assert/strict";
import { meanOf, parseDistribution, SYNTAX } from "../../capacity/distribution.ts";
import { type Conversation, conversations, type Load } from "../../capacity/load.ts";

const LOAD: Load = {
  arrivals: { perSecond: 10 },
  turns: 4,
  think: 20,
  prompt: parseDistribution("prompt", "exp:100"),
  reply: parseDistribution("reply", "10-20"),
};

/** Returns the request times of turns that take no time. */
function requestTimes(all: readonly Conversation[], until: number): number[] {
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

Deno.test("distributions have the specified means and quantiles", () => {
  const mean = (syntax: string) => meanOf(parseDistribution("reply", syntax));
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

Deno.test("an invalid distribution is rejected with its value", () => {
  for (
    const syntax of ["", "x", "-5", "exp:", "exp:1:2", "log:5", "log:0:2", "1,,2", "2-", "1e99"]
  ) {
    assert.throws(
      () => parseDistribution("reply", syntax),
      { code: "usage", message: `Cannot use --reply ${syntax}: it must be ${SYNTAX}` },
    );
  }
});

Deno.test("turns arrive at the requested rate from the start", () => {
  const until = 400_000;
  const times = requestTimes(conversations(LOAD, { seed: 3, until }), until);
  // Four standard deviations of a Poisson count, and a margin for turns of one conversation.
  for (const [from, to] of [[0, 20_000], [20_000, 100_000], [100_000, until]]) {
    const count = times.filter((time) => time >= from && time < to).length;
    const expected = (to - from) / 100;
    assert.ok(Math.abs(count - expected) < 5 * Math.sqrt(expected), `${count}, not ${expected}`);
  }
});

Deno.test("endless conversations alternate thinking and turns", () => {
  const until = 200_000;
  const load = { ...LOAD, arrivals: { conversations: 100 } };
  const all = conversations(load, { seed: 3, until });
  assert.ok(all.every(({ hasState }) => hasState));
  const count = requestTimes(all, until).length;
  assert.ok(Math.abs(count - 1000) < 5 * Math.sqrt(1000), `${count}`);
});

Deno.test("conversations have the requested mean number of turns", () => {
  const all = conversations({ ...LOAD, think: 0 }, { seed: 1, until: 1e6 });
  const turns = all.map((conversation) => {
    let count = 1;
    while (conversation.turn(count - 1).think !== null) count++;
    return count;
  });
  const mean = turns.reduce((sum, count) => sum + count, 0) / turns.length;
  assert.ok(Math.abs(mean - 4) < 0.3, `${mean}`);
});

Deno.test("a turn does not depend on the other conversations", () => {
  const [short, long] = [10_000, 100_000].map((until) => conversations(LOAD, { seed: 9, until }));
  assert.ok(short.length > 0 && long.length > short.length);
  for (const [i, conversation] of short.entries()) {
    assert.deepEqual(long[i].start, conversation.start);
    assert.deepEqual(long[i].turn(3), conversation.turn(3));
  }
  const other = conversations(LOAD, { seed: 10, until: 10_000 });
  assert.notDeepEqual(other[0].turn(0), short[0].turn(0));
});

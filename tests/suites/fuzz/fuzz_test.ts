/** Damaged files of every kind: each is read or refused, within bounds. `deno task fuzz` tries more. */

import assert from "node:assert/strict";
import { caseCount } from "../../support/quick.ts";
import { Random } from "../../support/random_data.ts";
import { caseBytes, outcomeOf } from "./cases.ts";
import { endFuzzer, fuzz } from "./fuzzer.ts";
import { mutated } from "./mutator.ts";
import type { Target } from "./target.ts";
import { FAULTY_TARGETS } from "./targets/faulty_targets.ts";
import { targets } from "./targets.ts";

const CASES = caseCount(200, 60);
const SEED = 20_261_128;

/** A machine that is busy takes its time; what hangs takes longer. */
const LIMIT_MS = 20_000;

Deno.test("whole files of every kind are taken", async () => {
  for (const target of await targets()) {
    const outcomes: unknown[] = [];
    for (const file of target.corpus) outcomes.push(await outcomeOf(target, file.slice()));
    assert.ok(outcomes.includes("taken"), `${target.name}: ${JSON.stringify(outcomes)}`);
    for (const outcome of outcomes) assert.equal(typeof outcome, "string", target.name);
  }
});

Deno.test("damaged files are read or refused, each within its bounds", async () => {
  try {
    for (const { name } of await targets()) {
      const { cases, taken, refused, findings } = await fuzz({
        target: name,
        seed: SEED,
        cases: CASES,
        limitMs: LIMIT_MS,
      });
      assert.deepEqual(findings, [], name);
      assert.deepEqual([cases, taken + refused], [CASES, CASES], name);
    }
  } finally {
    endFuzzer();
  }
});

Deno.test("a case is the same for the same seed and number, and another for others", async () => {
  for (const target of (await targets()).slice(0, 4)) {
    const hexes = new Set<string>();
    for (let index = 0; index < 40; index++) {
      const bytes = caseBytes(target, 7, index);
      assert.deepEqual(caseBytes(target, 7, index), bytes);
      hexes.add(bytes.toHex());
    }
    assert.ok(hexes.size > 30, target.name);
  }
});

Deno.test("a thread that hangs, grows, or leaves a rejection is told of, with its case", async () => {
  const found = async (name: string) => {
    const target = FAULTY_TARGETS.find((target) => target.name === `faulty-${name}`)!;
    let from = 0;
    while (caseBytes(target, 1, from)[0] !== 3) from++;
    const limits = { limitMs: 100, limitBytes: 300 * 1024 ** 2 };
    const { findings } = await fuzz({ target: target.name, seed: 1, from, cases: 1, ...limits });
    assert.deepEqual(findings.map(({ index }) => index), [from], name);
    return findings[0].fault;
  };
  try {
    for (
      const [name, fault] of [
        ["hangs", /^it was stopped after /],
        ["grows", /^it was stopped /],
        ["allocates", /^8000000 bytes were asked for to read 1,/],
        ["throws", /^TypeError: undefined is no function/],
      ] as const
    ) {
      assert.match(await found(name), fault);
    }
    assert.match(await found("rejects"), /^unhandled, .*: Error: nobody awaits this/);
  } finally {
    endFuzzer();
  }
});

Deno.test("what a parser must not do is a finding", async () => {
  const reading = (read: Target["read"]): Target => ({
    name: "made up",
    corpus: [new Uint8Array(10)],
    words: [],
    most: 100,
    allocates: (size) => size + 100,
    read,
  });
  const bytes = mutated(reading(() => Promise.resolve("taken")), new Random(1));
  const fine = await outcomeOf(reading(() => Promise.resolve("taken")), bytes);
  assert.equal(fine, "taken");
  const thrown = await outcomeOf(reading(() => Promise.reject(new TypeError("x is no y"))), bytes);
  assert.match(JSON.stringify(thrown), /x is no y/);
});

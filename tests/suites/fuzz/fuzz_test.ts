/**
 * Parsers accept or reject damaged files of every kind within their limits. `deno task fuzz` runs
 * more cases.
 */

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

/** Generous, so that a busy machine passes and a hang still fails. */
const LIMIT_MS = 20_000;

Deno.test("intact files of every kind are accepted", async () => {
  for (const target of await targets()) {
    const outcomes: unknown[] = [];
    for (const file of target.corpus) outcomes.push(await outcomeOf(target, file.slice()));
    assert.ok(outcomes.includes("accepted"), `${target.name}: ${JSON.stringify(outcomes)}`);
    for (const outcome of outcomes) assert.equal(typeof outcome, "string", target.name);
  }
});

Deno.test("damaged files are accepted or rejected within the target's limits", async () => {
  try {
    for (const { name } of await targets()) {
      const { cases, accepted, rejected, findings } = await fuzz({
        target: name,
        seed: SEED,
        cases: CASES,
        limitMs: LIMIT_MS,
      });
      assert.deepEqual(findings, [], name);
      assert.deepEqual([cases, accepted + rejected], [CASES, CASES], name);
    }
  } finally {
    endFuzzer();
  }
});

Deno.test("a case depends only on seed and number", async () => {
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

Deno.test("a thread that hangs, grows or leaves an unhandled rejection is a finding with its case", async () => {
  const findingOf = async (name: string) => {
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
        ["allocates", /^8000000 bytes were allocated to read 1;/],
        ["throws", /^TypeError: undefined is no function/],
      ] as const
    ) {
      assert.match(await findingOf(name), fault);
    }
    assert.match(await findingOf("rejects"), /^unhandled rejection, .*: Error: not awaited/);
  } finally {
    endFuzzer();
  }
});

Deno.test("an unexpected error of a parser is a finding", async () => {
  const targetOf = (read: Target["read"]): Target => ({
    name: "synthetic",
    corpus: [new Uint8Array(10)],
    words: [],
    most: 100,
    allocates: (size) => size + 100,
    read,
  });
  const bytes = mutated(targetOf(() => Promise.resolve("accepted")), new Random(1));
  const accepted = await outcomeOf(targetOf(() => Promise.resolve("accepted")), bytes);
  assert.equal(accepted, "accepted");
  const thrown = await outcomeOf(targetOf(() => Promise.reject(new TypeError("x is no y"))), bytes);
  assert.match(JSON.stringify(thrown), /x is no y/);
});

/** Constraints that are made to cost much are refused, or cost little. */

import assert from "node:assert/strict";
import type { Constraint } from "../../src/core/sampling.ts";
import { allowedIds, constrain, ofSchema, refused, takes } from "./fixtures.ts";

Deno.test("parts that hold nothing, one after the other, are refused when they are too many", async () => {
  const empties: Constraint[] = [
    { type: "regex", pattern: "(|)".repeat(10_000) + "a" },
    { type: "regex", pattern: "(?:(){0,5}|())*".repeat(2000) },
    { type: "grammar", ebnf: `root ::= ${"x ".repeat(15_000)}"a"\nx ::= "" | ""` },
    { type: "grammar", ebnf: `root ::= ${'("" | ""){0,3} '.repeat(2000)}"a"` },
  ];
  for (const constraint of empties) {
    assert.match(await refused(constraint), /ways at once, at most 1024|nested too deeply/);
  }
  assert.ok(await takes({ type: "regex", pattern: "(|)".repeat(100) + "a" }, "a"));
});

Deno.test("numbers between bounds are counted as they are made", async () => {
  const bounded = Array.from({ length: 1900 }, (_, i) => ({ minimum: -i - 0.5 }));
  assert.match(
    await refused(ofSchema({ anyOf: bounded })),
    /bounds come to \d+ parts, at most 50000/,
  );
  assert.ok(await takes(ofSchema({ anyOf: bounded.slice(0, 3) }), "-2.25"));
});

Deno.test("hundreds of options are told apart by what is read of each once", async () => {
  const options = Array.from({ length: 399 }, (_, i) => ({
    enum: Array.from({ length: 20 }, (_, j) => 100 * i + j),
  }));
  assert.ok(await takes(ofSchema({ oneOf: options }), "39811"));
  const shared = [...options.slice(0, -1), { enum: [100_000, 5] }];
  assert.match(await refused(ofSchema({ oneOf: shared })), /0 and 398 may not/);
});

Deno.test("sets of the same characters are one node", async () => {
  const pattern = "[^a]".repeat(8000);
  const constraint = await constrain({ type: "regex", pattern });
  assert.ok((await allowedIds(constraint)).length > 100);
  assert.ok(await takes({ type: "regex", pattern: "[^a][^a][b-é][b-é]" }, "bébé"));
  assert.ok(!await takes({ type: "regex", pattern: "[^a][^a][b-é][b-é]" }, "béba"));
});

Deno.test("counts that no text reaches end nothing and cost nothing", async () => {
  for (const pattern of ["((a{0,999999999}){0,999999999}){1,999999999}", `a{${"9".repeat(400)}}`]) {
    const constraint = await constrain({ type: "regex", pattern });
    assert.ok((await allowedIds(constraint)).length > 0);
  }
});

/** Constraints that could be expensive are rejected or cheap. */

import assert from "node:assert/strict";
import type { Constraint } from "../../src/core/sampling.ts";
import { accepts, allowedIds, constrain, ofSchema, rejectionMessage } from "./fixtures.ts";

Deno.test("a long sequence of nullable parts is rejected", async () => {
  const nullable: Constraint[] = [
    { type: "regex", pattern: "(|)".repeat(10_000) + "a" },
    { type: "regex", pattern: "(?:(){0,5}|())*".repeat(2000) },
    { type: "grammar", ebnf: `root ::= ${"x ".repeat(15_000)}"a"\nx ::= "" | ""` },
    { type: "grammar", ebnf: `root ::= ${'("" | ""){0,3} '.repeat(2000)}"a"` },
  ];
  for (const constraint of nullable) {
    assert.match(
      await rejectionMessage(constraint),
      /alternatives at one position; the maximum is 1024|nested too deeply/,
    );
  }
  assert.ok(await accepts({ type: "regex", pattern: "(|)".repeat(100) + "a" }, "a"));
});

Deno.test("the number of bounded numbers is limited", async () => {
  const bounded = Array.from({ length: 1900 }, (_, i) => ({ minimum: -i - 0.5 }));
  assert.match(
    await rejectionMessage(ofSchema({ anyOf: bounded })),
    /bounds take \d+ parts; the maximum is 50000/,
  );
  assert.ok(await accepts(ofSchema({ anyOf: bounded.slice(0, 3) }), "-2.25"));
});

Deno.test("hundreds of oneOf options are checked for overlap in linear reads", async () => {
  const options = Array.from({ length: 399 }, (_, i) => ({
    enum: Array.from({ length: 20 }, (_, j) => 100 * i + j),
  }));
  assert.ok(await accepts(ofSchema({ oneOf: options }), "39811"));
  const shared = [...options.slice(0, -1), { enum: [100_000, 5] }];
  assert.match(await rejectionMessage(ofSchema({ oneOf: shared })), /0 and 398 may overlap/);
});

Deno.test("equal character sets share a node", async () => {
  const pattern = "[^a]".repeat(8000);
  const constraint = await constrain({ type: "regex", pattern });
  assert.ok((await allowedIds(constraint)).length > 100);
  assert.ok(await accepts({ type: "regex", pattern: "[^a][^a][b-é][b-é]" }, "bébé"));
  assert.ok(!await accepts({ type: "regex", pattern: "[^a][^a][b-é][b-é]" }, "béba"));
});

Deno.test("counts that no text can reach cost nothing", async () => {
  for (const pattern of ["((a{0,999999999}){0,999999999}){1,999999999}", `a{${"9".repeat(400)}}`]) {
    const constraint = await constrain({ type: "regex", pattern });
    assert.ok((await allowedIds(constraint)).length > 0);
  }
});

/** Structured output in requests. */

import assert from "node:assert/strict";
import type { Constraint } from "../../../src/core/sampling.ts";
import { InferenceError } from "../../../src/core/errors.ts";
import { ids } from "../../session/fixtures.ts";
import { errorOf, HI, post, testApp } from "../fixtures.ts";

const SCHEMA = JSON.parse('{"type":"object","properties":{"__proto__":{"const":1},"b":{}}}');

const FORMATS: [fields: Record<string, unknown>, constraint: Constraint | undefined][] = [
  [{}, undefined],
  [{ response_format: null, guided_regex: null, guided_choice: null }, undefined],
  [{ response_format: { type: "text" } }, undefined],
  [{ response_format: { type: "json_object" } }, { type: "json_object" }],
  [
    {
      response_format: {
        type: "json_schema",
        json_schema: { name: "x", description: "d", strict: true, schema: SCHEMA },
      },
    },
    { type: "json_schema", schema: JSON.stringify(SCHEMA) },
  ],
  [{ guided_regex: "a+" }, { type: "regex", pattern: "a+" }],
  [{ guided_choice: ["a", "b"] }, { type: "choice", choices: ["a", "b"] }],
  [{ guided_grammar: 'root ::= "a"' }, { type: "grammar", ebnf: 'root ::= "a"' }],
  [
    { response_format: { type: "json_object", schema: SCHEMA } },
    { type: "json_schema", schema: JSON.stringify(SCHEMA) },
  ],
  [{ guided_json: SCHEMA }, { type: "json_schema", schema: JSON.stringify(SCHEMA) }],
  [{ guided_json: '{"type":"null"}' }, { type: "json_schema", schema: '{"type":"null"}' }],
  [{ json_schema: SCHEMA }, { type: "json_schema", schema: JSON.stringify(SCHEMA) }],
  [{ grammar: 'root ::= "a"' }, { type: "grammar", ebnf: 'root ::= "a"' }],
  [{ structured_outputs: {} }, undefined],
  [
    { structured_outputs: { json: SCHEMA } },
    { type: "json_schema", schema: JSON.stringify(SCHEMA) },
  ],
  [{ structured_outputs: { regex: "a+" } }, { type: "regex", pattern: "a+" }],
  [{ structured_outputs: { choice: ["a"] } }, { type: "choice", choices: ["a"] }],
  [{ structured_outputs: { grammar: "root ::= [a]" } }, { type: "grammar", ebnf: "root ::= [a]" }],
  [{ structured_outputs: { json_object: true } }, { type: "json_object" }],
  [{ response_format: { type: "text" }, guided_regex: "" }, { type: "regex", pattern: "" }],
];

Deno.test("a constraint is compiled and applied to every choice", async () => {
  for (const [fields, constraint] of FORMATS) {
    const { app, runner } = testApp({ script: ids(" a\n\n") });
    const prepared: Constraint[] = [];
    runner.prepareConstraint = (of) => {
      assert.equal(runner.works.length, 0, "before anything is submitted");
      prepared.push(of);
      return Promise.resolve();
    };
    const response = await post(app, { ...HI, n: 2, ...fields });
    assert.equal(response.status, 200, await response.text());
    assert.deepEqual(runner.works.map((work) => work.constraint), [constraint, constraint]);
    assert.deepEqual(prepared, constraint ? [constraint] : []);
  }
});

Deno.test("an unsupported constraint is rejected before the turn starts, with and without streaming", async () => {
  for (const stream of [false, true]) {
    const { app, runner } = testApp();
    const param = "response_format";
    runner.prepareConstraint = () =>
      Promise.reject(new InferenceError("invalid_value", `${param}: no`, { param }));
    const body = { ...HI, stream, response_format: { type: "json_object" } };
    const error = await errorOf(post(app, body), 400, "invalid_value");
    assert.deepEqual([error.param, runner.works.length], [param, 0]);
  }
});

Deno.test("continuing a truncated reply cannot be constrained", async () => {
  const { app } = testApp({ script: ids(" abc\n\n") });
  const cut = await (await post(app, { ...HI, max_tokens: 2 })).json();
  const on = { messages: [], state_id: cut.state_id };
  for (const format of [{ response_format: { type: "json_object" } }, { guided_regex: "a" }]) {
    const error = await errorOf(post(app, { ...on, ...format }), 400, "invalid_value");
    assert.equal(error.param, "response_format");
    assert.match(error.message, /beginning/);
  }
  const text = { ...on, response_format: { type: "text" } };
  assert.equal((await post(app, text)).status, 200);
});

Deno.test("invalid and contradictory formats are rejected with the field's name", async () => {
  const { app } = testApp();
  const schema = (json_schema: unknown) => ({
    response_format: { type: "json_schema", json_schema },
  });
  for (
    const [fields, param, message] of [
      [{ response_format: "json" }, "response_format", /object/],
      [{ response_format: {} }, "response_format.type", /text, json_object or json_schema/],
      [{ response_format: { type: "xml" } }, "response_format.type", /text, json_object or/],
      [{ response_format: { type: "json_schema" } }, "response_format.json_schema", /object/],
      [schema({ name: "x" }), "response_format.json_schema.schema", /expected a JSON schema/],
      [schema({ schema: [] }), "response_format.json_schema.schema", /expected a JSON schema/],
      [schema({ schema: true }), "response_format.json_schema.schema", /expected a JSON schema/],
      [schema({ schema: {}, strict: 1 }), "response_format.json_schema.strict", /boolean/],
      [{ guided_regex: 5 }, "guided_regex", /string/],
      [{ guided_choice: "a" }, "guided_choice", /array/],
      [{ guided_choice: ["a", 1] }, "guided_choice[1]", /string/],
      [{ guided_grammar: [] }, "guided_grammar", /string/],
      [{ structured_outputs: { structural_tag: "x" } }, "structured_outputs", /structural_tag/],
      [{ guided_json: 5 }, "guided_json", /expected a JSON schema/],
      [
        { structured_outputs: { regex: "a", choice: ["a"] } },
        "structured_outputs.choice",
        /structured_outputs\.regex is also set/,
      ],
      [{ guided_regex: "a", guided_choice: ["a"] }, "guided_choice", /guided_regex is also set/],
      [
        { guided_regex: "a", response_format: { type: "json_object" } },
        "guided_regex",
        /is also set/,
      ],
    ] as const
  ) {
    const error = await errorOf(post(app, { ...HI, ...fields }), 400, "invalid_value");
    assert.equal(error.param, param, error.message);
    assert.match(error.message, message);
  }
});

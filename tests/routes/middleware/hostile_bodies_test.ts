/** Bodies designed to be expensive are rejected cheaply with short messages. */

import assert from "node:assert/strict";
import { JSON_LIMITS } from "../../../routes/middleware/body.ts";
import { errorOf, HI, post, testApp } from "../fixtures.ts";

/** Returns `HI` as text with an additional field. */
function withField(name: string, json: string): string {
  return JSON.stringify({ ...HI, max_tokens: 1, seed: 1 }).slice(0, -1) + `,"${name}":${json}}`;
}

/** Returns a nested list. */
function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

Deno.test("a body with millions of values is rejected before it is parsed", async () => {
  const { app } = testApp();
  for (const item of ["1", "{}", "[1]", '""']) {
    const list = `[${Array(Math.floor(7_900_000 / (item.length + 1))).fill(item).join(",")}]`;
    for (const field of ["messages", "unknown"]) {
      const error = await errorOf(post(app, withField(field, list)), 400, "invalid_value");
      assert.equal(
        error.message,
        `The request body contains more than ${JSON_LIMITS.maxValues} values; send a smaller one`,
      );
    }
  }
  const names = Array.from({ length: 400_000 }, (_, i) => `"${i}":1`).join();
  for (const field of ["logit_bias", "unknown"]) {
    const error = await errorOf(post(app, withField(field, `{${names}}`)), 400, "invalid_value");
    assert.match(error.message, /more than \d+ values/);
  }
});

Deno.test("the maximum number of values is accepted, whatever the strings contain", async () => {
  const { app } = testApp();
  // Counts the object, its fields, and the list.
  const own = 6 + 1 + 3;
  const fields = (count: number) => withField("unknown", `[${Array(count).fill(1).join()}]`);
  const fine = JSON_LIMITS.maxValues - own;
  assert.equal((await post(app, fields(fine))).status, 200);
  await errorOf(post(app, fields(fine + 10)), 400, "invalid_value");
  const marks = JSON.stringify('[{,"\\,'.repeat(50_000) + "\\\\");
  assert.equal((await post(app, withField("unknown", marks))).status, 200);
});

Deno.test("the nesting depth of a body is limited", async () => {
  const { app } = testApp();
  assert.equal(
    (await post(app, withField("unknown", nested(JSON_LIMITS.maxDepth - 1)))).status,
    200,
  );
  for (const depth of [JSON_LIMITS.maxDepth, 100_000, 3_900_000]) {
    const error = await errorOf(
      post(app, withField("unknown", nested(depth))),
      400,
      "invalid_value",
    );
    assert.equal(
      error.message,
      `The request body is nested more than ${JSON_LIMITS.maxDepth} deep; send a smaller one`,
    );
  }
  const open = await errorOf(post(app, "[".repeat(8_000_000)), 400, "invalid_value");
  assert.match(open.message, /nested more than/);
});

Deno.test("an error names only the first invalid fields", async () => {
  const { app } = testApp();
  const list = `[${Array(50_000).fill(1).join()}]`;
  const error = await errorOf(post(app, `{"messages":${list}}`), 400, "invalid_value");
  assert.match(error.message, /^messages\[0\]: .*; messages\[7\]: [^;]*; and 49992 more$/);
  assert.equal(error.param, "messages[0]");
});

Deno.test("request data in error messages is truncated", async () => {
  const { app } = testApp();
  const long = "x".repeat(5_000_000);
  const bodies = [
    { ...HI, model: long },
    { ...HI, conversation: long },
    { ...HI, state_id: long },
    { ...HI, logit_bias: { [long]: 1 } },
    { messages: [{ role: long, content: "hi" }] },
  ];
  for (const body of bodies) {
    const response = await post(app, body);
    assert.ok(response.status >= 400 && response.status < 500);
    const text = await response.text();
    assert.ok(text.length < 2500, `${text.length} characters: ${text.slice(0, 200)}`);
  }
});

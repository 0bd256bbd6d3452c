/** Structured output of a worker over HTTP. */

import assert from "node:assert/strict";
import { schemaValidator } from "../../grammar/fixtures.ts";
import { wrongSchema } from "../../grammar/wrong_schemas.ts";
import { caseCount } from "../../support/quick.ts";
import { chatBody, deltas, startWorkerProcess, type WorkerProcess } from "./worker_process.ts";

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 8 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    pets: { type: "array", items: { enum: ["Katze", "Hündin"] }, maxItems: 2 },
  },
  required: ["name", "age"],
};

function formatOf(schema: unknown) {
  const json_schema = { name: "person", strict: true, schema };
  return { response_format: { type: "json_schema", json_schema } };
}

function post(worker: WorkerProcess, fields: Record<string, unknown>): Promise<Response> {
  return fetch(`${worker.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ ...chatBody("My name is Ada. Who am I?"), max_tokens: 100, ...fields }),
  });
}

async function complete(worker: WorkerProcess, fields: Record<string, unknown>) {
  const response = await post(worker, fields);
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body;
}

Deno.test("replies follow schemas, streamed or not, and regular expressions and grammars", async () => {
  await using worker = await startWorkerProcess(":memory:", { device: "cpu" });
  const valid = schemaValidator(PERSON);
  for (const temperature of [0, 1]) {
    const request = { ...formatOf(PERSON), temperature, seed: 3 };
    const { choices } = await complete(worker, { ...request, n: 3 });
    for (const { message, finish_reason } of choices) {
      assert.equal(finish_reason, "stop");
      assert.ok(valid(message.content), message.content);
    }
    let streamed = "";
    for await (const delta of deltas((await post(worker, { ...request, stream: true })).body!)) {
      streamed += delta;
    }
    assert.equal(streamed, choices[0].message.content);
  }
  const formats: [Record<string, unknown>, RegExp][] = [
    [{ response_format: { type: "json_object" }, seed: 4, temperature: 1 }, /^\{/],
    [{ guided_regex: "\\d{3}-[a-f]{4}" }, /^\d{3}-[a-f]{4}$/],
    [{ guided_choice: ["Grüße", "Tschüß"] }, /^(Grüße|Tschüß)$/],
    [{ guided_grammar: 'root ::= "I am " ("Ada" | "Bob") "."' }, /^I am (Ada|Bob)\.$/],
  ];
  for (const [fields, pattern] of formats) {
    assert.match((await complete(worker, fields)).choices[0].message.content, pattern);
  }

  const truncated = await complete(worker, { ...formatOf(PERSON), max_tokens: 3 });
  assert.equal(truncated.choices[0].finish_reason, "length");
  assert.ok(truncated.choices[0].message.content.startsWith("{"));
  const on = await post(worker, {
    ...formatOf(PERSON),
    messages: [],
    state_id: truncated.state_id,
  });
  const { error } = await on.json();
  assert.deepEqual([on.status, error.code, error.param], [400, "invalid_value", "response_format"]);
  const free = await complete(worker, {
    messages: [],
    state_id: truncated.state_id,
    max_tokens: 3,
  });
  assert.equal(free.usage.completion_tokens, 3);

  const next = await complete(worker, { state_id: free.state_id, ...formatOf(PERSON) });
  assert.ok(valid(next.choices[0].message.content));
});

Deno.test("an arbitrary schema is rejected or followed, and the worker keeps serving", async () => {
  await using worker = await startWorkerProcess(":memory:", { device: "cpu" });
  const counts: Record<string, number> = {};
  const requests = caseCount(400, 80);
  const send = async (seed: number) => {
    const response = await post(worker, { ...formatOf(wrongSchema(seed)), max_tokens: 1 });
    const body = await response.json();
    const code = body.error?.code ?? body.choices[0].finish_reason;
    counts[code] = (counts[code] ?? 0) + 1;
    if (response.status === 200) return;
    assert.deepEqual([response.status, code], [400, "invalid_value"]);
    assert.match(body.error.param, /^response_format/);
  };
  for (let first = 1; first <= requests; first += 40) {
    await Promise.all(Array.from({ length: 40 }, (_, i) => send(first + i)));
  }
  assert.ok(
    counts.invalid_value > requests / 2 && counts.length > requests / 20,
    JSON.stringify(counts),
  );
  const names = Array.from({ length: 390 }, (_, i) => [`name ${i}`, { type: "string" }]);
  const large = [
    formatOf({ type: "object", properties: Object.fromEntries(names) }),
    { guided_grammar: `root ::= ${"a? ".repeat(1000)}\na ::= "x"` },
    { guided_regex: "(.*a){200}((b?c){9}d?){900}" },
  ];
  for (const pattern of large) await complete(worker, { ...pattern, max_tokens: 2 });
  const { choices } = await complete(worker, formatOf(PERSON));
  assert.ok(schemaValidator(PERSON)(choices[0].message.content));
});

/** `/v1/responses`, and items of conversations. */

import assert from "node:assert/strict";
import { InferenceError } from "../../../src/core/errors.ts";
import { MemoryBackend } from "../../../src/store/backends/memory.ts";
import { ids } from "../../session/fixtures.ts";
import { errorOf, testApp } from "../fixtures.ts";
import {
  eventsOf,
  type Json,
  keys,
  read,
  respond,
  send,
  textOf,
  UNKNOWN,
} from "./responses_client.ts";

Deno.test("a response has OpenAI's format and can be retrieved from any worker", async () => {
  const it = testApp({ clock: () => 1_800_000_000_500, script: ids(" Hello\n\n") });
  const answered = await send(it, "/responses", {
    model: "toy",
    input: [{ role: "user", content: [{ type: "input_text", text: "hi" }] }],
    metadata: { topic: "x" },
    temperature: 0.5,
    truncation: "auto",
    user: "me",
    unknown: 5,
  });
  const response = await answered.json();
  const digits = response.id.slice("resp_".length);
  assert.match(digits, /^[0-9a-f]{48}$/);
  assert.equal(answered.headers.get("x-state-id"), `state_${digits}`);
  const { output: [{ id: message }], usage } = response;
  assert.match(message, /^msg_/);
  assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0);
  assert.deepEqual(response, {
    id: `resp_${digits}`,
    object: "response",
    created_at: 1_800_000_000,
    status: "completed",
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    model: "toy",
    output: [{
      id: message,
      type: "message",
      status: "completed",
      role: "assistant",
      content: [{ type: "output_text", text: "Hello", annotations: [], logprobs: [] }],
    }],
    parallel_tool_calls: true,
    previous_response_id: null,
    conversation: null,
    reasoning: { effort: null, summary: null },
    store: true,
    temperature: 0.5,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_logprobs: 0,
    top_p: 1,
    truncation: "auto",
    usage: {
      input_tokens: usage.input_tokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: usage.output_tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.input_tokens + usage.output_tokens,
    },
    user: "me",
    metadata: { topic: "x" },
    state_id: `state_${digits}`,
  });
  const other = testApp({ backend: it.backend });
  assert.deepEqual(await read(other, `/responses/${response.id}`), response);
});

Deno.test("a conversation across workers equals one on a single worker", async () => {
  const chain = async (fresh: boolean, stream: boolean) => {
    const backend = new MemoryBackend();
    let it = testApp({ backend });
    let previous_response_id: string | null = null;
    const texts: string[] = [];
    const cached: number[] = [];
    for (let turn = 0; turn < 12; turn++) {
      if (fresh) it = testApp({ backend });
      const body: Json = { input: `turn ${turn}`, previous_response_id, seed: turn };
      const last = stream ? (await eventsOf(it, body)).at(-1) : null;
      const response = last === null ? await respond(it, body) : (last as { response: Json })
        .response;
      previous_response_id = response.id as string;
      texts.push(textOf(response as never));
      cached.push(
        (response as { usage: { input_tokens_details: { cached_tokens: number } } }).usage
          .input_tokens_details.cached_tokens,
      );
      await it.sessions.settled();
    }
    return { texts, cached };
  };
  const once = await chain(false, false);
  assert.ok(once.texts.join("").length > 12);
  assert.ok(once.cached.every((count, i) => i === 0 ? count === 0 : count > once.cached[i - 1]));
  assert.deepEqual(await chain(true, false), once);
  assert.deepEqual(await chain(true, true), once);
});

Deno.test("a truncated response is continued without input", async () => {
  const it = testApp({ script: ids(" abcdef\n\n") });
  const one = await respond(it, { input: "hi", max_output_tokens: 3, instructions: "x" });
  assert.equal(one.status, "incomplete");
  assert.deepEqual(one.incomplete_details, { reason: "max_output_tokens" });
  assert.equal(one.output[0].status, "incomplete");
  const events = await eventsOf(it, { previous_response_id: one.id, max_output_tokens: 2 });
  const last = events.at(-1) as { type: string; response: { id: string } };
  assert.equal(last.type, "response.incomplete");
  const three = await respond(it, { input: [], previous_response_id: last.response.id });
  assert.equal(textOf(one) + textOf(last.response as never) + textOf(three), "abcdef");
  const closed = { previous_response_id: three.id };
  const error = await errorOf(send(it, "/responses", closed), 400, "invalid_value");
  assert.equal(error.param, "input");
});

Deno.test("store: false stores nothing", async () => {
  const long = "You are a helpful assistant who answers briefly, and never at length.";
  for (const stream of [false, true]) {
    const it = testApp({ script: ids(" a\n\n") });
    const body = { input: "hi", store: false, instructions: long };
    const events = stream ? await eventsOf(it, body) : [];
    const response = stream
      ? (events.at(-1) as unknown as { response: Json }).response
      : await respond(it, body);
    assert.equal(textOf(response as never), "a");
    assert.deepEqual([response.store, response.state_id], [false, null]);
    await it.sessions.settled();
    assert.deepEqual(await keys(it), []);
    await errorOf(it.app.request(`/v1/responses/${response.id}`), 404, "response_not_found");
    const on = { input: "x", previous_response_id: response.id };
    await errorOf(send(it, "/responses", on), 400, "previous_response_not_found");
  }
});

Deno.test("deleting a response deletes all its data", async () => {
  const it = testApp({ script: ids(" a\n\n b\n\n") });
  const one = await respond(it, { input: "hi" });
  const two = await respond(it, { input: "on", previous_response_id: one.id });
  const deleted = await send(it, `/responses/${one.id}`, undefined, "DELETE");
  assert.deepEqual(await deleted.json(), { id: one.id, object: "response", deleted: true });
  await errorOf(it.app.request(`/v1/responses/${one.id}`), 404, "response_not_found");
  await errorOf(send(it, `/responses/${one.id}`, undefined, "DELETE"), 404, "response_not_found");
  const on = { input: "x", previous_response_id: one.id };
  const error = await errorOf(send(it, "/responses", on), 400, "previous_response_not_found");
  assert.equal(error.param, "previous_response_id");
  assert.equal((await read(it, `/responses/${two.id}`)).status, "completed");
  await send(it, `/responses/${two.id}`, undefined, "DELETE");
  await it.sessions.settled();
  assert.deepEqual(await keys(it), []);
});

Deno.test("the input items of a response are paginated", async () => {
  const it = testApp({ script: ids(" a\n\n b\n\n") });
  const one = await respond(it, { input: "hi", instructions: "Be brief" });
  const input = [1, 2, 3].map((i) => ({ role: "user", content: `message ${i}` }));
  const two = await respond(it, { input, previous_response_id: one.id });
  const path = `/responses/${two.id}/input_items`;
  const all = await read(it, path);
  const texts = all.data.map(({ content }: { content: Json[] }) => content[0].text);
  assert.deepEqual(texts, ["message 3", "message 2", "message 1"]);
  assert.deepEqual([all.object, all.has_more], ["list", false]);
  assert.deepEqual([all.first_id, all.last_id], [all.data[0].id, all.data[2].id]);
  const first = await read(it, `${path}?order=asc&limit=2`);
  assert.deepEqual(first.data, [all.data[2], all.data[1]]);
  assert.equal(first.has_more, true);
  const rest = await read(it, `${path}?order=asc&limit=2&after=${first.last_id}`);
  assert.deepEqual([rest.data, rest.has_more], [[all.data[0]], false]);
  const none = await read(it, `${path}?after=${all.last_id}`);
  assert.deepEqual([none.data, none.first_id, none.last_id], [[], null, null]);
  const wrong = ["after=msg_1", "limit=0", "limit=x", "order=up"];
  for (const query of wrong) {
    const error = await errorOf(it.app.request(`/v1${path}?${query}`), 400, "invalid_value");
    assert.equal(error.param, query.split("=")[0]);
  }
  await errorOf(it.app.request(`/v1/responses/${UNKNOWN}/input_items`), 404, "response_not_found");
});

Deno.test("responses advance a conversation, which lists its messages without instructions", async () => {
  const it = testApp({ script: ids(" a\n\n") });
  const { id } = await (await send(it, "/conversations", {})).json();
  assert.deepEqual((await read(it, `/conversations/${id}/items`)).data, []);
  const one = await respond(it, { input: "hi", conversation: id, instructions: "Be brief" });
  assert.deepEqual(one.conversation, { id });
  const items = async (query: string) => await read(it, `/conversations/${id}/items${query}`);
  const before = await items("?order=asc");
  await respond(it, { input: "on", conversation: { id }, max_output_tokens: 2 });
  const { data } = await items("?order=asc");
  assert.deepEqual(
    data.map(({ role, status, content }: { content: Json[] } & Json) => [
      role,
      status,
      content[0].text,
    ]),
    [
      ["user", "completed", "hi"],
      ["assistant", "completed", "a"],
      ["user", "completed", "on"],
      // Reprocessing without the instructions restarts the script.
      ["assistant", "incomplete", "a"],
    ],
  );
  assert.deepEqual(data.slice(0, 2), before.data);
  const latest = await items("?limit=1");
  assert.deepEqual([latest.data, latest.has_more], [[data[3]], true]);
  await errorOf(it.app.request("/v1/conversations/conv_5/items"), 404, "conversation_not_found");
  const both = { input: "x", conversation: id, previous_response_id: one.id };
  const error = await errorOf(send(it, "/responses", both), 400, "invalid_value");
  assert.equal(error.param, "conversation");
  const unstored = { input: "x", conversation: id, store: false };
  assert.equal(
    (await errorOf(send(it, "/responses", unstored), 400, "invalid_value")).param,
    "store",
  );
});

Deno.test("invalid requests are rejected with the field's name", async () => {
  const it = testApp({ script: ids(" a\n\n") });
  const refused: [Json, string][] = [
    [{ tools: [{ type: "function" }] }, "tools"],
    [{ tool_choice: "required" }, "tool_choice"],
    [{ background: true }, "background"],
    [{ reasoning: { effort: "high" } }, "reasoning"],
  ];
  for (const [body, param] of refused) {
    const response = send(it, "/responses", { input: "hi", ...body });
    assert.equal((await errorOf(response, 400, "unsupported_value")).param, param);
  }
  const image = { role: "user", content: [{ type: "input_image", image_url: "x" }] };
  const wrong: [Json, string][] = [
    [{ input: 5 }, "input"],
    [{ input: " " }, "input"],
    [{}, "input"],
    [{ input: [image] }, "input[0].content[0].type"],
    [{ input: [{ role: "user", content: "" }] }, "input[0].content"],
    [{ input: [{ type: "reasoning", role: "user", content: "" }] }, "input[0].type"],
    [{ input: "hi", temperature: 3 }, "temperature"],
    [{ input: "hi", text: { format: { type: "xml" } } }, "text.format.type"],
    [{ input: "hi", text: { format: { type: "json_schema", name: "x" } } }, "text.format.schema"],
    [{ input: "hi", truncation: "some" }, "truncation"],
    [{ input: "hi", include: ["file_search_call.results"] }, "include[0]"],
    [{ input: "hi", top_logprobs: 21 }, "top_logprobs"],
    [{ input: "hi", metadata: { a: 1 } }, "metadata.a"],
  ];
  for (const [body, param] of wrong) {
    const error = await errorOf(send(it, "/responses", body), 400, "invalid_value");
    assert.equal(error.param, param, error.message);
  }
  for (const previous_response_id of [UNKNOWN, "resp_5", `state_${"0".repeat(48)}`]) {
    const response = send(it, "/responses", { input: "hi", previous_response_id });
    const error = await errorOf(response, 400, "previous_response_not_found");
    assert.equal(error.param, "previous_response_id");
  }
  await errorOf(send(it, "/responses", { input: "hi", model: "gpt" }), 404, "model_not_found");
  await errorOf(it.app.request("/v1/responses/resp_5"), 404, "response_not_found");
  await errorOf(send(it, `/responses/${UNKNOWN}/cancel`), 404, "response_not_found");
  const { id } = await respond(it, {
    input: "hi",
    text: { format: { type: "text" }, verbosity: "low" },
    tools: [],
    reasoning: { effort: null },
  });
  const cancelled = await errorOf(send(it, `/responses/${id}/cancel`), 400, "invalid_value");
  assert.match(cancelled.message, /synchronous/);
});

Deno.test("text.format constrains a response and is echoed", async () => {
  const it = testApp({ script: ids(" a\n\n b\n\n") });
  const schema = { type: "object", properties: { b: { type: "string" } } };
  const format = { type: "json_schema", name: "x", schema, strict: true };
  const response = await respond(it, { input: "hi", text: { format } });
  assert.deepEqual(response.text, { format });
  assert.deepEqual((await read(it, `/responses/${response.id}`)).text, { format });
  assert.deepEqual(it.runner.works[0].constraint, {
    type: "json_schema",
    schema: JSON.stringify(schema),
  });
  await respond(it, { input: "on", previous_response_id: response.id });
  assert.equal(it.runner.works[1].constraint, undefined);
  it.runner.prepareConstraint = () => {
    const message = "response_format.json_schema.schema: not is not supported";
    return Promise.reject(
      new InferenceError("invalid_value", message, { param: "response_format" }),
    );
  };
  const refused = send(it, "/responses", {
    input: "hi",
    text: { format: { type: "json_object" } },
  });
  const error = await errorOf(refused, 400, "invalid_value");
  assert.equal(error.param, "text.format");
  assert.match(error.message, /^text\.format/);
});

Deno.test("a response can continue a state of chat, which is not a response itself", async () => {
  const it = testApp({ script: ids(" a\n\n b\n\n") });
  const chat = await send(it, "/chat/completions", { messages: [{ role: "user", content: "hi" }] });
  const id = (await chat.json()).state_id.replace("state_", "resp_");
  await errorOf(it.app.request(`/v1/responses/${id}`), 404, "response_not_found");
  assert.equal(textOf(await respond(it, { input: "on", previous_response_id: id })), "b");
});

/** Short scenarios of a few requests each that together cover the whole API. */

import type { CountingClient } from "./counting_client.ts";

/** Runs one scenario; `name` is unique. */
type Scenario = (client: CountingClient, name: string) => Promise<void>;

const UNKNOWN_STATE = `state_${"0".repeat(48)}`;

const user = (content: string) => ({ role: "user", content });

/** A chat that resumes by state id. */
const chat: Scenario = async (client, name) => {
  const first = await client.chat({ messages: [user(`I am ${name}`)] });
  const second = await client.chat({
    messages: [user("And you?")],
    state_id: first.stateId,
    stream: true,
  });
  await client.chat({
    messages: [user("More")],
    state_id: second.stateId,
    n: 2,
    logprobs: true,
    top_logprobs: 2,
  });
  await client.send("GET", `/v1/states/${second.stateId}`, { route: "/v1/states/{id}" });
};

/** A chat that sends its whole history each time. */
const fullHistory: Scenario = async (client, name) => {
  const messages = [{ role: "system", content: "Be brief" }, user(`I am ${name}`)];
  const { text } = await client.chat({ messages, temperature: 0 });
  const reply = { role: "assistant", content: text };
  await client.chat({ messages: [...messages, reply, user("Go on")], stream: true });
};

const completions: Scenario = async (client, name) => {
  const { stateId } = await client.complete({ prompt: `Once ${name} ` });
  await client.complete({ prompt: " and then", state_id: stateId, stream: true, stop: ["\n\n"] });
};

const responses: Scenario = async (client, name) => {
  const first = await client.respond({ input: `I am ${name}`, metadata: { name } });
  const { id } = await client.respond({
    input: "Go on",
    previous_response_id: first.id,
    instructions: "Be brief",
    stream: true,
  });
  const route = "/v1/responses/{id}";
  await client.send("GET", `/v1/responses/${id}`, { route });
  await client.send("GET", `/v1/responses/${id}/input_items`, { route: `${route}/input_items` });
  await client.send("DELETE", `/v1/responses/${id}`, { route });
};

const conversations: Scenario = async (client, name) => {
  const route = "/v1/conversations/{id}";
  const { id } = await client.send("POST", "/v1/conversations", { body: { metadata: { name } } });
  await client.chat({ messages: [user(`I am ${name}`)], conversation: id });
  await client.respond({ input: "Go on", conversation: id });
  await client.send("GET", `/v1/conversations/${id}/items`, { route: `${route}/items` });
  await client.send("POST", `/v1/conversations/${id}`, { route, body: { metadata: {} } });
  await client.send("DELETE", `/v1/conversations/${id}`, { route });
};

const states: Scenario = async (client, name) => {
  const route = "/v1/states/{id}";
  const { stateId } = await client.chat({ messages: [user(`I am ${name}`)] });
  const file = await client.send("GET", `/v1/states/${stateId}/content`, {
    route: `${route}/content`,
  });
  const headers = { "content-type": "application/octet-stream" };
  const { id } = await client.send("POST", "/v1/states", { body: file, headers, status: 201 });
  await client.send("GET", `/v1/states/${id}`, { route });
  await client.send("DELETE", `/v1/states/${id}`, { route });
  await client.send("GET", `/v1/states/${id}`, { route, status: 404 });
};

/** Requests that generate no reply. */
const withoutGeneration: Scenario = async (client, name) => {
  const { tokens } = await client.send("POST", "/v1/tokenize", { body: { prompt: name } });
  await client.send("POST", "/v1/detokenize", { body: { tokens } });
  for (const path of ["/v1/models", "/health", "/ready", "/ping", "/openapi.json", "/"]) {
    await client.send("GET", path);
  }
};

/** The same request twice with one idempotency key, then a different one with that key. */
const idempotent: Scenario = async (client, name) => {
  const path = "/v1/chat/completions";
  const headers = { "idempotency-key": name };
  const body = { messages: [user(`I am ${name}`)], max_tokens: 4 };
  await client.chat(body, headers);
  await client.send("POST", path, { body, headers });
  await client.send("POST", path, { body: { ...body, seed: 1 }, headers, status: 422 });
};

/** Structured output with constraints that are not in any cache. */
const structuredOutput: Scenario = async (client, name) => {
  await client.chat({ messages: [user("Who?")], guided_regex: `${name}[a-z]{1,4}` });
  const schema = { type: "object", properties: { [name]: { type: "integer" } } };
  await client.chat({
    messages: [user("JSON?")],
    response_format: { type: "json_schema", json_schema: { name: "form", schema } },
    stream: true,
  });
};

const aborted: Scenario = async (client, name) => {
  await client.abortStream(`Tell ${name}`);
  await client.abortCompletion(`Tell ${name}`);
};

/** Requests that the worker rejects. */
const invalid: Scenario = async (client, name) => {
  const path = "/v1/chat/completions";
  const messages = [user(name)];
  await client.send("POST", path, { body: `{"${name}`, status: 400 });
  await client.send("POST", path, { body: { messages, model: name }, status: 404 });
  await client.send("POST", path, { body: { messages, state_id: UNKNOWN_STATE }, status: 400 });
  await client.send("POST", path, { body: { messages, temperature: -1 }, status: 400 });
  await client.send("POST", path, { body: { messages, tools: [{}] }, status: 400 });
  await client.send("POST", path, { body: { messages, guided_regex: `(${name}` }, status: 400 });
  await client.send("DELETE", "/v1/models", { status: 405 });
  await client.send("GET", `/${name}`, { route: "other", status: 404 });
  await client.send("PURGE", `/${name}`, { route: "other", label: "other", status: 404 });
  const headers = { "content-type": "application/octet-stream" };
  await client.send("POST", "/v1/states", { body: name, headers, status: 400 });
};

/** All scenarios; clients cycle through them. */
export const SCENARIOS: readonly Scenario[] = [
  chat,
  fullHistory,
  completions,
  responses,
  conversations,
  states,
  withoutGeneration,
  idempotent,
  structuredOutput,
  aborted,
  invalid,
];

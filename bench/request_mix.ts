/** Everything that clients ask of a worker, in short conversations of a few requests each. */

import type { CountingClient } from "./counting_client.ts";

/** Takes one conversation; `name` is not used twice. */
type Talk = (client: CountingClient, name: string) => Promise<void>;

const NO_STATE = `state_${"0".repeat(48)}`;

const user = (content: string) => ({ role: "user", content });

/** A chat that goes on by state ids. */
const chat: Talk = async (client, name) => {
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

/** A chat whose history is sent whole each time. */
const wholeHistory: Talk = async (client, name) => {
  const messages = [{ role: "system", content: "Be brief" }, user(`I am ${name}`)];
  const { text } = await client.chat({ messages, temperature: 0 });
  const answer = { role: "assistant", content: text };
  await client.chat({ messages: [...messages, answer, user("Go on")], stream: true });
};

const completions: Talk = async (client, name) => {
  const { stateId } = await client.complete({ prompt: `Once ${name} ` });
  await client.complete({ prompt: " and then", state_id: stateId, stream: true, stop: ["\n\n"] });
};

const responses: Talk = async (client, name) => {
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

const conversations: Talk = async (client, name) => {
  const route = "/v1/conversations/{id}";
  const { id } = await client.send("POST", "/v1/conversations", { body: { metadata: { name } } });
  await client.chat({ messages: [user(`I am ${name}`)], conversation: id });
  await client.respond({ input: "Go on", conversation: id });
  await client.send("GET", `/v1/conversations/${id}/items`, { route: `${route}/items` });
  await client.send("POST", `/v1/conversations/${id}`, { route, body: { metadata: {} } });
  await client.send("DELETE", `/v1/conversations/${id}`, { route });
};

const states: Talk = async (client, name) => {
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

/** What takes no turn. */
const questions: Talk = async (client, name) => {
  const { tokens } = await client.send("POST", "/v1/tokenize", { body: { prompt: name } });
  await client.send("POST", "/v1/detokenize", { body: { tokens } });
  for (const path of ["/v1/models", "/health", "/ready", "/ping", "/openapi.json", "/"]) {
    await client.send("GET", path);
  }
};

/** The same request sent twice under one key, then another one under it. */
const repeated: Talk = async (client, name) => {
  const path = "/v1/chat/completions";
  const headers = { "idempotency-key": name };
  const body = { messages: [user(`I am ${name}`)], max_tokens: 4 };
  await client.chat(body, headers);
  await client.send("POST", path, { body, headers });
  await client.send("POST", path, { body: { ...body, seed: 1 }, headers, status: 422 });
};

/** Replies held to forms that nobody has asked for before. */
const forms: Talk = async (client, name) => {
  await client.chat({ messages: [user("Who?")], guided_regex: `${name}[a-z]{1,4}` });
  const schema = { type: "object", properties: { [name]: { type: "integer" } } };
  await client.chat({
    messages: [user("JSON?")],
    response_format: { type: "json_schema", json_schema: { name: "form", schema } },
    stream: true,
  });
};

const leavers: Talk = async (client, name) => {
  await client.abortStream(`Tell ${name}`);
  await client.abortCompletion(`Tell ${name}`);
};

/** Requests that are refused. */
const refused: Talk = async (client, name) => {
  const path = "/v1/chat/completions";
  const messages = [user(name)];
  await client.send("POST", path, { body: `{"${name}`, status: 400 });
  await client.send("POST", path, { body: { messages, model: name }, status: 404 });
  await client.send("POST", path, { body: { messages, state_id: NO_STATE }, status: 400 });
  await client.send("POST", path, { body: { messages, temperature: -1 }, status: 400 });
  await client.send("POST", path, { body: { messages, tools: [{}] }, status: 400 });
  await client.send("POST", path, { body: { messages, guided_regex: `(${name}` }, status: 400 });
  await client.send("DELETE", "/v1/models", { status: 405 });
  await client.send("GET", `/${name}`, { route: "other", status: 404 });
  await client.send("PURGE", `/${name}`, { route: "other", label: "other", status: 404 });
  const headers = { "content-type": "application/octet-stream" };
  await client.send("POST", "/v1/states", { body: name, headers, status: 400 });
};

/** All kinds; clients take them in turn. */
export const SCENARIOS: readonly Talk[] = [
  chat,
  wholeHistory,
  completions,
  responses,
  conversations,
  states,
  questions,
  repeated,
  forms,
  leavers,
  refused,
];

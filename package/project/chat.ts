/**
 * A Node program that uses the package's client with a worker. Prints its results as JSON.
 *
 * Argument: the worker's URL.
 */

import { ApiError, type ChatCompletion, createClient } from "@rwkv-edge/worker/client";

const client = createClient({ baseURL: process.argv[2] });
const params = { temperature: 0, max_tokens: 24 };

const session = client.conversation({ params });
const first = await session.send("Hi! My name is Ada.");
const before = session.stateId;
const stream = await session.stream("What is my name?");
const pieces: string[] = [];
for await (const piece of stream) pieces.push(piece);
const streamed = await stream.reply();
const whole: ChatCompletion = await client.complete({
  ...params,
  messages: [{ role: "user", content: "What is my name?" }],
  state_id: before,
});
const file = await client.states.export(session.stateId!);
const copy = await client.states.import(file);
const [model] = await client.models.list();
const missing = await client.states.get("state_none").catch((error: unknown) => error);
console.log(JSON.stringify({
  first: first.text,
  pieces: pieces.length,
  streamed: streamed.text,
  joined: pieces.join(""),
  whole: whole.choices[0].message.content,
  transcript: copy.transcript.map(({ role, content }) => `${role}: ${content}`),
  model: model.id,
  missing: missing instanceof ApiError ? [missing.status, missing.code] : String(missing),
  stateId: session.stateId,
}));

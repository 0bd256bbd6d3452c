/** Calls `/v1/responses` of an in-memory app, and extracts parts of its responses. */

import assert from "node:assert/strict";
import type { ResponseEvent } from "../../../routes/responses/response_event_schema.ts";
import { tokenizer } from "../../session/fixtures.ts";
import type { TestApp } from "../fixtures.ts";

export type Json = Record<string, unknown>;

export function send({ app }: TestApp, path: string, body?: unknown, method = "POST") {
  return app.request(
    `/v1${path}`,
    body === undefined ? { method } : {
      method,
      body: JSON.stringify(body),
    },
  );
}

export async function respond(it: TestApp, body: Json) {
  const response = await send(it, "/responses", body);
  const answered = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answered));
  return answered;
}

export async function read(it: TestApp, path: string) {
  const response = await it.app.request(`/v1${path}`);
  assert.equal(response.status, 200);
  return await response.json();
}

export async function eventsOf(it: TestApp, body: Json): Promise<ResponseEvent[]> {
  const response = await send(it, "/responses", { ...body, stream: true });
  assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
  const text = await response.text();
  assert.ok(text.endsWith("\n\n"));
  return text.slice(0, -2).split("\n\n").map((block) => {
    const [, name, data] = block.match(/^event: ([^\n]*)\ndata: ([^\n]*)$/)!;
    const event = JSON.parse(data);
    assert.equal(event.type, name);
    return event;
  });
}

export function textOf(response: { output: { content: { text: string }[] }[] }): string {
  return response.output[0].content[0].text;
}

/** Returns the texts that the model processed, by turn. */
export function promptsOf({ runner }: TestApp): string[] {
  return runner.works.map(({ tokens }) => tokenizer.decode(tokens));
}

/** Returns all keys of the store. */
export async function keys({ backend }: TestApp): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of backend.list(["default"])) found.push(key.join("/"));
  return found;
}

export const UNKNOWN = `resp_${"0".repeat(48)}`;

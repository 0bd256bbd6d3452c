/** Fuzzing targets for the client: responses of a worker. */

import assert from "node:assert/strict";
import { ApiError } from "../../../../src/client/api_error.ts";
import { ChatStream } from "../../../../src/client/chat_stream.ts";
import { Transport } from "../../../../src/client/transport.ts";
import type { Target } from "../target.ts";
import { reply, responseOf } from "./http_replies.ts";

const KIB = 1024;

export function clientTargets(): Target[] {
  return [eventsTarget(), errorTarget()];
}

const CHUNK = {
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "toy",
  choices: [{ index: 0, delta: { content: "Hello" }, finish_reason: null }],
};

function eventsTarget(): Target {
  const last = {
    ...CHUNK,
    choices: [{ index: 0, delta: {}, finish_reason: "stop", state_id: `state_${"0".repeat(48)}` }],
  };
  const usage = { ...CHUNK, choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } };
  const stream = (...events: unknown[]) =>
    new TextEncoder().encode(
      events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
        .replace('"[DONE]"', "[DONE]"),
    );
  const error = {
    error: { message: "no", type: "server_error", param: null, code: "device_lost" },
  };
  return {
    name: "events",
    corpus: [stream(CHUNK, CHUNK, last, usage, "[DONE]"), stream(CHUNK, error), stream(last)],
    words: [
      ...["data: ", "data:", "\n\n", "[DONE]", "error", "choices", "delta", "content", "null", "1"],
      ...[
        "finish_reason",
        "usage",
        "[]",
        "{}",
        "\r\n",
        ": comment\n",
        "event: x\n",
        "[null]",
        '""',
      ],
    ],
    most: 64 * KIB,
    allocates: (size) => 16 * size + 16 * KIB,
    read: async (bytes) => {
      const pieces = ReadableStream.from(chunks(bytes));
      const stream = new ChatStream(new Response(pieces, { headers: { "x-state-id": "state_0" } }));
      return await outcomeOfClient(async () => {
        const { text, stateId, finishReason } = await stream.reply();
        assert.equal(typeof text, "string");
        assert.ok(stateId === null || typeof stateId === "string");
        assert.ok(finishReason === "stop" || finishReason === "length", `${finishReason}`);
      });
    },
  };
}

async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < bytes.length; at += 37) yield bytes.subarray(at, at + 37);
}

function errorTarget(): Target {
  const body = (error: unknown) => JSON.stringify({ error });
  const json = { "content-type": "application/json" };
  return {
    name: "api-error",
    corpus: [
      reply(400, json, body({ message: "no", type: "x", param: "a", code: "invalid_value" })),
      reply(503, { ...json, "retry-after": "1", "x-request-id": "r" }, body({ message: "busy" })),
      reply(200, json, '{"data":[]}'),
    ],
    words: ["null", "error", "message", "code", "retry-after: soon\n", "[]", "200", "500", '"a"'],
    most: 64 * KIB,
    allocates: (size) => 16 * size + 16 * KIB,
    read: async (bytes) => {
      const transport = new Transport({
        baseURL: "http://worker.invalid",
        fetch: () => Promise.resolve(responseOf(bytes)),
      });
      return await outcomeOfClient(async () => void await transport.json("/v1/models"));
    },
  };
}

async function outcomeOfClient(read: () => Promise<void>): Promise<"accepted" | "rejected"> {
  try {
    await read();
    return "accepted";
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { message, code, param, retryAfter } = error;
    assert.ok(typeof message === "string" && typeof code === "string");
    assert.ok(param === null || typeof param === "string");
    assert.ok(retryAfter === undefined || retryAfter >= 0, `retry after ${retryAfter}`);
    return "rejected";
  }
}

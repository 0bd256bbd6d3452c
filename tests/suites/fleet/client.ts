/** A client that retries until it gets a response, as clients behind a network must. */

import assert from "node:assert/strict";
import { WORKER } from "./proxy.ts";

export interface ChatRequest {
  message: string | null;
  stateId: string | null;
  stream: boolean;
}

export interface Reply {
  text: string;
  stateId: string;
  promptTokens: number;
  cachedTokens: number;
  worker: string | null;
}

/** Statistics about a client's failed attempts. */
export interface RetryStats {
  /** Number of retries after lost or rejected requests. */
  retries: number;
  /** State ids of streams that broke. */
  brokenStates: string[];
}

/** A lost response, or one that allows a retry. */
class RetryableError extends Error {}

/** Retries until a reply and its stored state arrive, or `signal` is aborted. */
export async function chatWithRetries(
  url: string,
  request: ChatRequest,
  { stats, signal }: { stats: RetryStats; signal: AbortSignal },
): Promise<Reply> {
  while (true) {
    try {
      return await attempt(url, request, { stats, signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof RetryableError)) throw error;
      stats.retries++;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** Retries a GET request until it gets a response below 500; returns its body. */
export async function getWithRetries<T = StateBody>(
  url: string,
  { signal }: { signal: AbortSignal },
): Promise<{ status: number; body: T }> {
  while (true) {
    const response = await fetch(url, { signal });
    if (response.status < 500) return { status: response.status, body: await response.json() };
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** The response of `GET /v1/states/{id}`. */
export interface StateBody {
  open: boolean;
  tokens: number;
  pending_tokens: number;
  transcript: { role: string; content: string }[];
}

async function attempt(
  url: string,
  { message, stateId, stream }: ChatRequest,
  { stats, signal }: { stats: RetryStats; signal: AbortSignal },
): Promise<Reply> {
  const body = {
    messages: message === null ? [] : [{ role: "user", content: message }],
    temperature: 0,
    stream,
    ...(stateId === null ? {} : { state_id: stateId }),
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify(body),
    signal,
  }).catch(rethrowRetryable);
  if ([429, 502, 503].includes(response.status)) {
    await response.body?.cancel();
    throw new RetryableError(`status ${response.status}`);
  }
  const headerStateId = response.headers.get("x-state-id");
  try {
    const parse = stream && response.status === 200 ? readStream : readWhole;
    const { text, id, usage } = await parse(response);
    if (id === null) throw new RetryableError("the state was not stored");
    assert.ok(
      headerStateId === null || headerStateId === id,
      `the reply has state ${id}, its header ${headerStateId}`,
    );
    return {
      text,
      stateId: id,
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      worker: response.headers.get(WORKER),
    };
  } catch (error) {
    if (headerStateId !== null && error instanceof RetryableError) {
      stats.brokenStates.push(headerStateId);
    }
    throw error;
  }
}

interface Usage {
  prompt_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

interface ParsedReply {
  text: string;
  id: string | null;
  usage: Usage;
}

async function readWhole(response: Response): Promise<ParsedReply> {
  const text = await response.text().catch(rethrowRetryable);
  assert.equal(response.status, 200, text);
  const body = JSON.parse(text);
  return { text: body.choices[0].message.content, id: body.state_id, usage: body.usage };
}

async function readStream(response: Response): Promise<ParsedReply> {
  const all = await response.text().catch(rethrowRetryable);
  if (!all.endsWith("data: [DONE]\n\n")) throw new RetryableError("the stream broke");
  const reply: ParsedReply = {
    text: "",
    id: null,
    usage: { prompt_tokens: 0, prompt_tokens_details: { cached_tokens: 0 } },
  };
  for (const event of all.split("\n\n").slice(0, -2)) {
    if (event.startsWith(":")) continue;
    const chunk = JSON.parse(event.replace(/^data: /, ""));
    if (chunk.error) throw new RetryableError(chunk.error.message);
    reply.text += chunk.choices[0]?.delta.content ?? "";
    reply.id = chunk.state_id ?? reply.id;
    if (chunk.usage) reply.usage = chunk.usage;
  }
  return reply;
}

function rethrowRetryable(error: unknown): never {
  throw new RetryableError(String(error));
}

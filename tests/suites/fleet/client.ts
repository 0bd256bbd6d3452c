/** A client that asks until it is answered, as one behind a network has to. */

import assert from "node:assert/strict";
import { WORKER } from "./proxy.ts";

export interface Ask {
  message: string | null;
  stateId: string | null;
  stream: boolean;
}

export interface Answer {
  text: string;
  stateId: string;
  promptTokens: number;
  cachedTokens: number;
  worker: string | null;
}

/** What happened to a client meanwhile. */
export interface Tally {
  /** Times that an answer was lost or refused, and asked for again. */
  again: number;
  /** Ids of streams that broke. */
  broken: string[];
}

/** An answer that did not come, or that says that another try may help. */
class Lost extends Error {}

/** Asks until there is an answer whose state is stored; gives up when `signal` says so. */
export async function persist(
  url: string,
  ask: Ask,
  { tally, signal }: { tally: Tally; signal: AbortSignal },
): Promise<Answer> {
  while (true) {
    try {
      return await askOnce(url, ask, { tally, signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Lost)) throw error;
      tally.again++;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** The body of an answer to GET, asked for until there is one. */
export async function persistGet<T = StateBody>(
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

/** What `GET /v1/states/{id}` tells. */
export interface StateBody {
  open: boolean;
  tokens: number;
  pending_tokens: number;
  transcript: { role: string; content: string }[];
}

async function askOnce(
  url: string,
  { message, stateId, stream }: Ask,
  { tally, signal }: { tally: Tally; signal: AbortSignal },
): Promise<Answer> {
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
  }).catch(lost);
  if ([429, 502, 503].includes(response.status)) {
    await response.body?.cancel();
    throw new Lost(`status ${response.status}`);
  }
  const given = response.headers.get("x-state-id");
  try {
    const read = stream && response.status === 200 ? readStream : readWhole;
    const { text, id, usage } = await read(response);
    if (id === null) throw new Lost("the state was not stored");
    assert.ok(given === null || given === id, `it has the state ${id}, its header ${given}`);
    return {
      text,
      stateId: id,
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      worker: response.headers.get(WORKER),
    };
  } catch (error) {
    if (given !== null && error instanceof Lost) tally.broken.push(given);
    throw error;
  }
}

interface Usage {
  prompt_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

interface Read {
  text: string;
  id: string | null;
  usage: Usage;
}

async function readWhole(response: Response): Promise<Read> {
  const text = await response.text().catch(lost);
  assert.equal(response.status, 200, text);
  const body = JSON.parse(text);
  return { text: body.choices[0].message.content, id: body.state_id, usage: body.usage };
}

async function readStream(response: Response): Promise<Read> {
  const all = await response.text().catch(lost);
  if (!all.endsWith("data: [DONE]\n\n")) throw new Lost("the stream broke");
  const read: Read = {
    text: "",
    id: null,
    usage: { prompt_tokens: 0, prompt_tokens_details: { cached_tokens: 0 } },
  };
  for (const event of all.split("\n\n").slice(0, -2)) {
    if (event.startsWith(":")) continue;
    const chunk = JSON.parse(event.replace(/^data: /, ""));
    if (chunk.error) throw new Lost(chunk.error.message);
    read.text += chunk.choices[0]?.delta.content ?? "";
    read.id = chunk.state_id ?? read.id;
    if (chunk.usage) read.usage = chunk.usage;
  }
  return read;
}

function lost(error: unknown): never {
  throw new Lost(String(error));
}

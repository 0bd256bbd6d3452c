/** A client of streamed chat completions that records when each chunk arrived. */

import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";

const NEWLINE = 10;

/** The body of a chat completion request, without its streaming fields. */
export interface ChatRequest {
  messages: { role: "user"; content: string }[];
  max_tokens: number;
  temperature: number;
  seed?: number;
  logit_bias?: Record<string, number>;
  state_id?: string | null;
}

export interface StreamedReply {
  status: number;
  text: string;
  finishReason: string | null;
  promptTokens: number;
  completionTokens: number;
  /** Times of the request and of each text chunk, in milliseconds of `performance.now()`. */
  requestedAt: number;
  times: number[];
  /** Time of the last byte. */
  endedAt: number;
  /** The state that the next turn resumes. */
  stateId: string | null;
}

/** Returns a logit bias that bans every token that may end a reply: end of text and newlines. */
export function stopTokenBans(tokenizer: Tokenizer): Record<string, number> {
  const ids = Array.from({ length: tokenizer.size }, (_, id) => id).filter((id) =>
    id === tokenizer.endOfText || tokenizer.tokenBytes(id)?.includes(NEWLINE)
  );
  return Object.fromEntries(ids.map((id) => [id, -100]));
}

/** Sends one request. An interrupted stream has no `finishReason`. */
export async function streamChat(
  url: string,
  body: ChatRequest,
  signal?: AbortSignal,
): Promise<StreamedReply> {
  const reply: StreamedReply = {
    status: 0,
    text: "",
    finishReason: null,
    promptTokens: 0,
    completionTokens: 0,
    requestedAt: performance.now(),
    times: [],
    endedAt: 0,
    stateId: null,
  };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    ...(signal ? { signal } : {}),
  });
  reply.status = response.status;
  if (!response.ok) {
    await response.body?.cancel();
    reply.endedAt = performance.now();
    return reply;
  }
  let partial = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body!) {
    const events = (partial + decoder.decode(bytes, { stream: true })).split("\n\n");
    partial = events.pop()!;
    for (const event of events) {
      // All other events are comments, which keep the connection alive.
      if (event.startsWith("data: ")) addEvent(reply, event.slice("data: ".length));
    }
  }
  reply.endedAt = performance.now();
  return reply;
}

/** Returns about `tokens` tokens of text: words of the vocabulary, chosen by the seed. */
export function randomWords(tokenizer: Tokenizer, tokens: number, seed: number): string {
  const all = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.tokenBytes(id))
    .map((bytes) => new TextDecoder().decode(bytes))
    .filter((text) => /^ [a-z]+$/.test(text));
  let at = seed + 1;
  return Array.from({ length: tokens }, () => all[(at = at * 48271 % 2147483647) % all.length])
    .join("").trim();
}

function addEvent(reply: StreamedReply, data: string): void {
  if (data === "[DONE]") return;
  const { choices = [], usage, state_id } = JSON.parse(data);
  reply.stateId = state_id ?? reply.stateId;
  if (usage) {
    reply.promptTokens = usage.prompt_tokens;
    reply.completionTokens = usage.completion_tokens;
  }
  const [choice] = choices;
  if (!choice) return;
  if (choice.delta.content) {
    reply.text += choice.delta.content;
    reply.times.push(performance.now());
  }
  reply.finishReason = choice.finish_reason ?? reply.finishReason;
}

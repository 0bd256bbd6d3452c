/** A client of streamed chat completions that looks at the clock. */

import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";

const NEWLINE = 10;

/** The body of a request, but for what makes it a stream. */
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
  /** Milliseconds of the request, and of each event with text. */
  requestedAt: number;
  times: number[];
  /** When its last byte had come. */
  endedAt: number;
  /** What the next turn goes on from. */
  stateId: string | null;
}

/** A logit bias that bans whatever ends a reply, or might: end of text, newlines. */
export function stopTokenBans(tokenizer: Tokenizer): Record<string, number> {
  const ids = Array.from({ length: tokenizer.size }, (_, id) => id).filter((id) =>
    id === tokenizer.endOfText || tokenizer.tokenBytes(id)?.includes(NEWLINE)
  );
  return Object.fromEntries(ids.map((id) => [id, -100]));
}

/** Asks once; a stream that breaks off has no `finish`. */
export async function streamChat(url: string, body: ChatRequest, signal?: AbortSignal): Promise<StreamedReply> {
  const answer: StreamedReply = {
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
  answer.status = response.status;
  if (!response.ok) {
    await response.body?.cancel();
    answer.endedAt = performance.now();
    return answer;
  }
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body!) {
    const events = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
    rest = events.pop()!;
    for (const event of events) take(answer, event.replace(/^data: /, ""));
  }
  answer.endedAt = performance.now();
  return answer;
}

/** About `tokens` tokens of text: words of the vocabulary, others for another seed. */
export function randomWords(tokenizer: Tokenizer, tokens: number, seed: number): string {
  const all = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.tokenBytes(id))
    .map((bytes) => new TextDecoder().decode(bytes))
    .filter((text) => /^ [a-z]+$/.test(text));
  let at = seed + 1;
  return Array.from({ length: tokens }, () => all[(at = at * 48271 % 2147483647) % all.length])
    .join("").trim();
}

function take(answer: StreamedReply, data: string): void {
  if (data === "[DONE]") return;
  const { choices = [], usage, state_id } = JSON.parse(data);
  answer.stateId = state_id ?? answer.stateId;
  if (usage) {
    answer.promptTokens = usage.prompt_tokens;
    answer.completionTokens = usage.completion_tokens;
  }
  const [choice] = choices;
  if (!choice) return;
  if (choice.delta.content) {
    answer.text += choice.delta.content;
    answer.times.push(performance.now());
  }
  answer.finishReason = choice.finish_reason ?? answer.finishReason;
}

/** A client of the whole API that tallies what it sends, and how it is answered. */

import type { ExpectedMetrics, ExpectedUsage, FinishReason } from "./expected_metrics.ts";

/** Replies are this long unless a request says otherwise, so that many fit into a few minutes. */
const REPLY_TOKENS = 4;

/** A reply that nobody waits for must not end by itself. */
const ENDLESS_TOKENS = 100_000;

/** Milliseconds after which a client leaves that was not answered. */
const PATIENCE = 200;

// deno-lint-ignore no-explicit-any -- answers of every route, and nobody is told of their types
export type Json = any;

export interface SendOptions {
  /** As the worker's metrics call it; the path unless told. */
  route?: string;
  /** Sent as JSON, bytes and texts as they are. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Of the answer; anything else is an error. */
  status?: number;
  /** Of the method in the metrics. */
  label?: string;
}

interface LeftReply {
  stateId: string;
  promptTokens: number;
}

export class CountingClient {
  readonly #url: string;
  readonly #tally: ExpectedMetrics;
  /** Logit bias that keeps a reply from ending. */
  readonly #endless: Record<string, number>;
  #http = Deno.createHttpClient({});
  readonly #left: LeftReply[] = [];

  constructor(url: string, tally: ExpectedMetrics, endless: Record<string, number>) {
    this.#url = url;
    this.#tally = tally;
    this.#endless = endless;
  }

  /** Sends one request; the answer's body is JSON, events of a stream, bytes or text, as it is told. */
  async send(method: string, path: string, sending: SendOptions = {}): Promise<Json> {
    const { route = path, status = 200, label = method } = sending;
    const response = await this.#fetch(method, path, sending);
    this.#tally.countResponse(label, route, response.status);
    const type = response.headers.get("content-type") ?? "";
    const answer = type.startsWith("application/json")
      ? await response.json()
      : type.startsWith("text/event-stream")
      ? eventsOf(await response.text())
      : type.startsWith("application/octet-stream")
      ? await response.bytes()
      : await response.text();
    if (response.status === status) return answer;
    const what = `${method} ${path} is answered ${response.status} and not ${status}`;
    throw new Error(`${what}: ${JSON.stringify(answer)}`);
  }

  /** A chat completion, whole or streamed; tells where it leads to and what was written. */
  async chat(body: Json, headers: Record<string, string> = {}) {
    return await this.#complete("/v1/chat/completions", body, headers);
  }

  async complete(body: Json) {
    return await this.#complete("/v1/completions", body, {});
  }

  /** A response, whole or streamed. */
  async respond(body: Json): Promise<Json> {
    const answer = await this.send("POST", "/v1/responses", {
      body: { max_output_tokens: REPLY_TOKENS, ...body },
    });
    const response = Array.isArray(answer) ? answer.at(-1).response : answer;
    const { usage, status } = response;
    this.#tally.countTurns([status === "completed" ? "stop" : "length"], {
      prompt: usage.input_tokens,
      cached: usage.input_tokens_details.cached_tokens,
      generated: usage.output_tokens,
    }, { stored: body.store ?? true });
    return response;
  }

  /** Asks for a reply without end, and leaves when it has begun. */
  async abortStream(content: string): Promise<void> {
    const messages = [{ role: "user", content }];
    const { count } = await this.send("POST", "/v1/tokenize", { body: { messages } });
    const leaving = new AbortController();
    const path = "/v1/chat/completions";
    const body = { messages, max_tokens: ENDLESS_TOKENS, logit_bias: this.#endless, stream: true };
    const response = await this.#fetch("POST", path, { body }, leaving.signal);
    this.#tally.countResponse("POST", path, response.status);
    const reader = response.body!.getReader();
    for (let events = 0; events < 3; events++) await reader.read();
    leaving.abort();
    await reader.closed.catch(() => {});
    this.#left.push({ stateId: response.headers.get("x-state-id")!, promptTokens: count });
  }

  /** Asks for a reply without end, and leaves while it is written. */
  async abortCompletion(content: string): Promise<void> {
    const messages = [{ role: "user", content }];
    const path = "/v1/chat/completions";
    const body = { messages, max_tokens: ENDLESS_TOKENS, logit_bias: this.#endless };
    const gone = await this.#fetch("POST", path, { body }, AbortSignal.timeout(PATIENCE))
      .then(() => false, () => true);
    if (!gone) throw new Error(`a reply without end was whole within ${PATIENCE} ms`);
    this.#tally.countResponse("POST", path, 499);
    this.#tally.countTurns(["abort"], { prompt: 0, cached: 0, generated: 0 }, { stored: false });
  }

  /** Sees what became of the replies that were left. To be called when nothing is under way. */
  async countAborted(): Promise<void> {
    for (const { stateId, promptTokens } of this.#left.splice(0)) {
      const { tokens, pending_tokens } = await this.send("GET", `/v1/states/${stateId}`, {
        route: "/v1/states/{id}",
      });
      const written = tokens + pending_tokens - promptTokens;
      this.#tally.countTurns(["abort"], { prompt: promptTokens, cached: 0, generated: written }, { stored: true });
    }
  }

  /** Closes its connections; the next request opens others. */
  disconnect(): void {
    this.#http.close();
    this.#http = Deno.createHttpClient({});
  }

  async #complete(path: string, body: Json, headers: Record<string, string>) {
    const answer = await this.send("POST", path, {
      body: {
        max_tokens: REPLY_TOKENS,
        ...(body.stream ? { stream_options: { include_usage: true } } : {}),
        ...body,
      },
      headers,
    });
    const chunks: Json[] = Array.isArray(answer) ? answer : [answer];
    const choices: Json[] = chunks.flatMap((chunk) => chunk.choices);
    const finishes: FinishReason[] = choices.flatMap(({ finish_reason }) => finish_reason ?? []);
    const { state_id, usage } = chunks.at(-1);
    this.#tally.countTurns(finishes, usageOf(usage), { stored: true });
    const text = choices.filter(({ index }) => index === 0).map(textOf).join("");
    return { stateId: state_id as string, text };
  }

  #fetch(method: string, path: string, sending: SendOptions, signal?: AbortSignal): Promise<Response> {
    const { body, headers = {} } = sending;
    const asIs = typeof body === "string" || body instanceof Uint8Array;
    return fetch(this.#url + path, {
      method,
      client: this.#http,
      headers: asIs ? headers : { "content-type": "application/json", ...headers },
      ...(body === undefined
        ? {}
        : { body: asIs ? body as Uint8Array<ArrayBuffer> : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  }
}

function usageOf(usage: Json): ExpectedUsage {
  return {
    prompt: usage.prompt_tokens,
    cached: usage.prompt_tokens_details.cached_tokens,
    generated: usage.completion_tokens,
  };
}

function textOf({ message, delta, text }: Json): string {
  return message?.content ?? delta?.content ?? text ?? "";
}

/** The data of a stream's events, but for `[DONE]`. */
function eventsOf(stream: string): Json[] {
  return stream.split("\n\n").flatMap((event) => {
    const data = event.match(/^data: (.*)$/m)?.[1];
    return data === undefined || data === "[DONE]" ? [] : [JSON.parse(data)];
  });
}

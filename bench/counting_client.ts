/**
 * A client of the whole API that counts its requests and the responses, to compare them with
 * metrics.
 */

import type { ExpectedMetrics, ExpectedUsage, FinishReason } from "./expected_metrics.ts";

/** Default reply length, short so that a run of a few minutes covers many requests. */
const REPLY_TOKENS = 4;

/** Reply limit of requests that the client aborts, so large that they cannot finish first. */
const ABORTED_REPLY_TOKENS = 100_000;

/** Milliseconds after which the client aborts a request that has no response yet. */
const ABORT_AFTER_MS = 200;

// deno-lint-ignore no-explicit-any -- responses of every route, used without their types
export type Json = any;

export interface SendOptions {
  /** The route label in the worker's metrics; the path by default. */
  route?: string;
  /** Sent as JSON, except bytes and strings, which are sent unchanged. */
  body?: unknown;
  headers?: Record<string, string>;
  /** The expected status; any other one throws. */
  status?: number;
  /** The method label in the metrics. */
  label?: string;
}

interface AbortedReply {
  stateId: string;
  promptTokens: number;
}

export class CountingClient {
  readonly #url: string;
  readonly #expected: ExpectedMetrics;
  /** Logit bias that bans every token that could end a reply. */
  readonly #stopTokenBans: Record<string, number>;
  #http = Deno.createHttpClient({});
  readonly #aborted: AbortedReply[] = [];

  constructor(url: string, expected: ExpectedMetrics, stopTokenBans: Record<string, number>) {
    this.#url = url;
    this.#expected = expected;
    this.#stopTokenBans = stopTokenBans;
  }

  /** Sends one request. Returns JSON, a stream's events, bytes or text, by the content type. */
  async send(method: string, path: string, options: SendOptions = {}): Promise<Json> {
    const { route = path, status = 200, label = method } = options;
    const response = await this.#fetch(method, path, options);
    this.#expected.countResponse(label, route, response.status);
    const type = response.headers.get("content-type") ?? "";
    const result = type.startsWith("application/json")
      ? await response.json()
      : type.startsWith("text/event-stream")
      ? eventsOf(await response.text())
      : type.startsWith("application/octet-stream")
      ? await response.bytes()
      : await response.text();
    if (response.status === status) return result;
    const request = `${method} ${path} returned ${response.status} instead of ${status}`;
    throw new Error(`${request}: ${JSON.stringify(result)}`);
  }

  /** Requests a chat completion, streamed or not; returns its state id and text. */
  async chat(body: Json, headers: Record<string, string> = {}) {
    return await this.#complete("/v1/chat/completions", body, headers);
  }

  async complete(body: Json) {
    return await this.#complete("/v1/completions", body, {});
  }

  /** Creates a response, streamed or not. */
  async respond(body: Json): Promise<Json> {
    const result = await this.send("POST", "/v1/responses", {
      body: { max_output_tokens: REPLY_TOKENS, ...body },
    });
    const response = Array.isArray(result) ? result.at(-1).response : result;
    const { usage, status } = response;
    this.#expected.countTurns([status === "completed" ? "stop" : "length"], {
      prompt: usage.input_tokens,
      cached: usage.input_tokens_details.cached_tokens,
      generated: usage.output_tokens,
    }, { stored: body.store ?? true });
    return response;
  }

  /** Requests an unbounded streamed reply and aborts it after its first chunks. */
  async abortStream(content: string): Promise<void> {
    const messages = [{ role: "user", content }];
    const { count } = await this.send("POST", "/v1/tokenize", { body: { messages } });
    const abort = new AbortController();
    const path = "/v1/chat/completions";
    const body = {
      messages,
      max_tokens: ABORTED_REPLY_TOKENS,
      logit_bias: this.#stopTokenBans,
      stream: true,
    };
    const response = await this.#fetch("POST", path, { body }, abort.signal);
    this.#expected.countResponse("POST", path, response.status);
    const reader = response.body!.getReader();
    for (let events = 0; events < 3; events++) await reader.read();
    abort.abort();
    await reader.closed.catch(() => {});
    this.#aborted.push({ stateId: response.headers.get("x-state-id")!, promptTokens: count });
  }

  /** Requests an unbounded reply without streaming and aborts it during generation. */
  async abortCompletion(content: string): Promise<void> {
    const messages = [{ role: "user", content }];
    const path = "/v1/chat/completions";
    const body = { messages, max_tokens: ABORTED_REPLY_TOKENS, logit_bias: this.#stopTokenBans };
    const aborted = await this.#fetch("POST", path, { body }, AbortSignal.timeout(ABORT_AFTER_MS))
      .then(() => false, () => true);
    if (!aborted) throw new Error(`An unbounded reply finished within ${ABORT_AFTER_MS} ms`);
    this.#expected.countResponse("POST", path, 499);
    this.#expected.countTurns(["abort"], { prompt: 0, cached: 0, generated: 0 }, { stored: false });
  }

  /** Counts the aborted replies by their stored states. Call it when no request is in progress. */
  async countAborted(): Promise<void> {
    for (const { stateId, promptTokens } of this.#aborted.splice(0)) {
      const { tokens, pending_tokens } = await this.send("GET", `/v1/states/${stateId}`, {
        route: "/v1/states/{id}",
      });
      const written = tokens + pending_tokens - promptTokens;
      this.#expected.countTurns(
        ["abort"],
        { prompt: promptTokens, cached: 0, generated: written },
        { stored: true },
      );
    }
  }

  /** Closes the connections; the next request opens new ones. */
  disconnect(): void {
    this.#http.close();
    this.#http = Deno.createHttpClient({});
  }

  async #complete(path: string, body: Json, headers: Record<string, string>) {
    const result = await this.send("POST", path, {
      body: {
        max_tokens: REPLY_TOKENS,
        ...(body.stream ? { stream_options: { include_usage: true } } : {}),
        ...body,
      },
      headers,
    });
    const chunks: Json[] = Array.isArray(result) ? result : [result];
    const choices: Json[] = chunks.flatMap((chunk) => chunk.choices);
    const finishes: FinishReason[] = choices.flatMap(({ finish_reason }) => finish_reason ?? []);
    const { state_id, usage } = chunks.at(-1);
    this.#expected.countTurns(finishes, usageOf(usage), { stored: true });
    const text = choices.filter(({ index }) => index === 0).map(textOf).join("");
    return { stateId: state_id as string, text };
  }

  #fetch(
    method: string,
    path: string,
    options: SendOptions,
    signal?: AbortSignal,
  ): Promise<Response> {
    const { body, headers = {} } = options;
    const isRaw = typeof body === "string" || body instanceof Uint8Array;
    return fetch(this.#url + path, {
      method,
      client: this.#http,
      headers: isRaw ? headers : { "content-type": "application/json", ...headers },
      ...(body === undefined
        ? {}
        : { body: isRaw ? body as Uint8Array<ArrayBuffer> : JSON.stringify(body) }),
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

/** Returns the data of a stream's events, without `[DONE]`. */
function eventsOf(stream: string): Json[] {
  return stream.split("\n\n").flatMap((event) => {
    const data = event.match(/^data: (.*)$/m)?.[1];
    return data === undefined || data === "[DONE]" ? [] : [JSON.parse(data)];
  });
}

/** `Idempotency-Key`: a retried request gets the stored response and is not executed again. */

import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { InferenceError } from "../../src/core/errors.ts";
import type { SessionApi } from "../../src/session/session_api.ts";
import { handleError, type Log } from "./errors.ts";
import type { ResponseClaim, Turn } from "../../src/session/session_api.ts";

/** Maximum size of a stored response in bytes. */
export const MAX_STORED_RESPONSE_BYTES = 4 * 2 ** 20;

/** Maximum bytes that this process buffers of all streams that it is about to store. */
const MAX_BUFFERED_BYTES = 16 * MAX_STORED_RESPONSE_BYTES;

/** Errors of routes that call {@linkcode withIdempotency}. */
export const IDEMPOTENCY_ERRORS = [
  "idempotency_key_reused",
  "request_in_progress",
  "answer_gone",
] as const;

/** The request header of these routes. */
export const idempotencyHeaders = z.object({
  "idempotency-key": z.string().min(1).max(255).optional().openapi({
    description:
      "A string of up to 255 characters, unique to each request. A retry with the same key " +
      "and body within 24 hours returns the stored response, with `idempotent-replayed: true`, on " +
      "any worker that shares the store. While the first request is running, a retry returns 409 " +
      "`request_in_progress`. The same key with another body returns 422 " +
      "`idempotency_key_reused`. A completed stream is replayed with all its chunks " +
      "immediately. Errors with status 5xx, 429 or 499, `storage_limit_exceeded`, and interrupted " +
      "responses are not stored. With `store: false`, nothing is stored, and a retry runs the " +
      "request again. Deleting a state deletes the stored responses that contain its id. For " +
      "deleted responses, and for responses above 4 MiB, the key returns 410 `answer_gone` until " +
      "the 24 hours have passed.",
    example: "5c8f2e1b-7d64-4b1a-9a55-0b9c5e0f3f7a",
  }),
});

/** Response headers that are specific to one request and are not replayed. */
const UNSTORED_HEADERS = ["x-request-id"];

export interface IdempotencyOptions {
  sessions: SessionApi;
  log: Log;
  /** The validated body, which a retry must repeat. */
  body: { store?: boolean | null | undefined };
  /** Whether a stream's text is complete. By default, it must end with `data: [DONE]`. */
  isComplete?: ((text: string) => boolean) | undefined;
}

/** Receives the turns of a response when they start. */
export type OnTurns = (turns: readonly Pick<Turn, "result">[]) => void;

/**
 * Runs `run`, or replays the stored response if the request repeats an earlier key. The key of a
 * request with `store: false` is ignored, because such a request has no effect to repeat.
 *
 * @throws InferenceError `idempotency_key_reused`, `request_in_progress`, `answer_gone`,
 * `store_unavailable`, and the errors of `run`
 */
export async function withIdempotency<T extends Response>(
  c: Context,
  options: IdempotencyOptions,
  run: (onTurns: OnTurns) => Promise<T>,
): Promise<T> {
  const { sessions, log, body } = options;
  const key = c.req.header("idempotency-key");
  if (key === undefined || body.store === false) return await run(() => {});
  const route = `${c.req.method} ${c.req.path}`;
  const begun = await sessions.idempotency.begin({ key, route, body: JSON.stringify(body) });
  if ("stored" in begun) {
    const { status, headers, body } = begun.stored;
    c.header("idempotent-replayed", "true");
    return c.body(
      body as Uint8Array<ArrayBuffer>,
      status as ContentfulStatusCode,
      headers,
    ) as Response as T;
  }
  const recorder = new IdempotencyRecorder(c, begun.claim, options);
  let response: Response;
  try {
    response = await run((turns) => recorder.turns = turns);
  } catch (error) {
    if (!(error instanceof InferenceError) || !isFinal(error.status) || isTemporary(error)) {
      await recorder.release();
      throw error;
    }
    response = await handleError(log)(error, c);
  }
  return await recorder.record(response) as T;
}

/** Whether a retry would get the same status. */
function isFinal(status: number): boolean {
  return status < 500 && status !== 429 && status !== 499;
}

/** Whether an error with a final status may disappear, such as when the caller deletes data. */
function isTemporary({ code }: InferenceError): boolean {
  return code === "storage_limit_exceeded";
}

/** Stores the response of a request while it is sent. */
class IdempotencyRecorder {
  readonly #c: Context;
  readonly #claim: ResponseClaim;
  readonly #options: IdempotencyOptions;
  /** The turns of the response. */
  turns: Parameters<OnTurns>[0] = [];

  constructor(c: Context, claim: ResponseClaim, options: IdempotencyOptions) {
    this.#c = c;
    this.#claim = claim;
    this.#options = options;
  }

  /** Releases the key. A failure is only logged, because the key expires anyway. */
  async release(): Promise<void> {
    await this.#logFailure(() => this.#claim.release());
  }

  /** Returns the response, which is stored when its body ends. */
  async record(response: Response): Promise<Response> {
    if (!isFinal(response.status)) {
      await this.release();
      return response;
    }
    if (!isStream(response)) {
      const bytes = await response.bytes();
      await this.#store(response, bytes.length > MAX_STORED_RESPONSE_BYTES ? null : bytes);
      return new Response(bytes, response);
    }
    return new Response(this.#recordStream(response), response);
  }

  /** Returns a stream's body unchanged; it ends once the response is stored. */
  #recordStream(response: Response): ReadableStream<Uint8Array> {
    const reader = response.body!.getReader();
    const buffer = new StreamBuffer();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            buffer.push(value);
            return controller.enqueue(value);
          }
          await this.#store(response, buffer.take());
          controller.close();
        } catch (error) {
          buffer.take();
          await this.release();
          controller.error(error);
        }
      },
      cancel: async (reason) => {
        buffer.take();
        await reader.cancel(reason);
        await this.release();
      },
    });
  }

  /** @param body `null` if it is too large to be stored. */
  async #store(response: Response, body: Uint8Array | null): Promise<void> {
    const { status, headers } = response;
    const states = await this.#states();
    // A reply that was cancelled because its client disconnected is not a complete response.
    if (!this.#isComplete(response, body, states) || this.#c.req.raw.signal.aborted) {
      return await this.release();
    }
    if (body === null) return await this.#logFailure(() => this.#claim.storeWithoutBody(states));
    const stored = Object.fromEntries(
      [...headers].filter(([name]) => !UNSTORED_HEADERS.includes(name)),
    );
    await this.#logFailure(() => this.#claim.store({ status, headers: stored, body }, states));
  }

  /** Whether a response is complete, by its last event or, if its body was not buffered, its turns. */
  #isComplete(response: Response, body: Uint8Array | null, states: readonly string[]): boolean {
    if (!isStream(response)) return true;
    if (body === null) return states.length === this.turns.length;
    const { isComplete = endsWithDone } = this.#options;
    return isComplete(new TextDecoder().decode(body));
  }

  /** Waits for all turns and returns the ids of their states, which the response contains. */
  async #states(): Promise<string[]> {
    const results = await Promise.allSettled(this.turns.map((turn) => turn.result()));
    return results.flatMap((turn) => turn.status === "fulfilled" ? turn.value.stateId ?? [] : []);
  }

  async #logFailure(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log(`Cannot store the response to ${this.#c.req.path}`, error);
    }
  }
}

function isStream({ headers }: Response): boolean {
  return /^text\/event-stream/.test(headers.get("content-type") ?? "");
}

function endsWithDone(text: string): boolean {
  return text.endsWith("data: [DONE]\n\n");
}

/** Buffers a stream's bytes up to a limit. */
class StreamBuffer {
  /** Bytes buffered by all streams of this process. */
  static #total = 0;
  #chunks: Uint8Array[] | null = [];
  #bytes = 0;

  push(chunk: Uint8Array): void {
    if (this.#chunks === null) return;
    const { length } = chunk;
    if (
      this.#bytes + length > MAX_STORED_RESPONSE_BYTES ||
      StreamBuffer.#total + length > MAX_BUFFERED_BYTES
    ) {
      this.take();
      this.#chunks = null;
      return;
    }
    this.#chunks.push(chunk.slice());
    this.#bytes += length;
    StreamBuffer.#total += length;
  }

  /** Returns and clears the bytes; `null` if they exceeded the limit. */
  take(): Uint8Array<ArrayBuffer> | null {
    const chunks = this.#chunks;
    if (chunks === null) return null;
    const bytes = new Uint8Array(this.#bytes);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.length;
    }
    StreamBuffer.#total -= this.#bytes;
    this.#chunks = [];
    this.#bytes = 0;
    return bytes;
  }
}

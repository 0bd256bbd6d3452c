/** `Idempotency-Key`: a request that is sent again is answered again, and not done again. */

import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { InferenceError } from "../../src/core/errors.ts";
import type { SessionApi } from "../../src/session/session_api.ts";
import { handleError, type Log } from "./errors.ts";
import type { ResponseClaim, Turn } from "../../src/session/session_api.ts";

/** Bytes of an answer that is kept, at most. */
export const MAX_STORED_BYTES = 4 * 2 ** 20;

/** Bytes of all streams that this process collects to keep them, at most. */
const COLLECTED_BYTES = 16 * MAX_STORED_BYTES;

/** Of routes that call {@linkcode withIdempotency}. */
export const IDEMPOTENCY_ERRORS = [
  "idempotency_key_reused",
  "request_in_progress",
  "answer_gone",
] as const;

/** The same, for `request.headers`. */
export const idempotencyHeaders = z.object({
  "idempotency-key": z.string().min(1).max(255).optional().openapi({
    description: "Any text of up to 255 characters, a fresh one for each request: sent again " +
      "within 24 hours, with the same body, the request gets the answer that it got before, on " +
      "any worker of the store, and `idempotent-replayed: true`. While the first is being " +
      "answered, it gets 409 `request_in_progress`; with another body 422 " +
      "`idempotency_key_reused`. A stream that was sent to its end comes again, all its chunks " +
      "at once. Errors with status 5xx, 429 and 499 are not kept, nor is `storage_limit_exceeded`, " +
      "nor what was broken off; with `store: false` nothing is, and a request that is sent again " +
      "is done again. Deleting a state deletes the answer that names it, and an answer of more than " +
      "4 MiB is not kept: the key then gets 410 `answer_gone` until the 24 hours are over.",
    example: "5c8f2e1b-7d64-4b1a-9a55-0b9c5e0f3f7a",
  }),
});

/** Headers that are a request's own. */
const OWN_HEADERS = ["x-request-id"];

export interface IdempotencyOptions {
  sessions: SessionApi;
  log: Log;
  /** The body as it was checked; the same one is the same request. */
  body: { store?: boolean | null | undefined };
  /** Whether a stream's text came to its end; `data: [DONE]` ends it unless told. */
  isWhole?: ((text: string) => boolean) | undefined;
}

/** Receives the turns that an answer is made of, as soon as they are there. */
export type OnTurns = (turns: readonly Pick<Turn, "result">[]) => void;

/**
 * Answers by `run`, or as it did before where the request has the key of an earlier one. The key of
 * one that is not to be stored counts for nothing: there is no effect that could happen twice.
 *
 * @throws InferenceError `idempotency_key_reused`, `request_in_progress`, `answer_gone`,
 * `store_unavailable`, and what `run` throws
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
  const keeper = new IdempotencyRecorder(c, begun.claim, options);
  let answer: Response;
  try {
    answer = await run((turns) => keeper.turns = turns);
  } catch (error) {
    if (!(error instanceof InferenceError) || !isLasting(error.status) || passes(error)) {
      await keeper.drop();
      throw error;
    }
    answer = await handleError(log)(error, c);
  }
  return await keeper.keep(answer) as T;
}

/** Whether the same request would come to the same. */
function isLasting(status: number): boolean {
  return status < 500 && status !== 429 && status !== 499;
}

/** Whether a refusal may be over as soon as something is deleted. */
function passes({ code }: InferenceError): boolean {
  return code === "storage_limit_exceeded";
}

/** Hands on an answer, and what it was to the store. */
class IdempotencyRecorder {
  readonly #c: Context;
  readonly #underway: ResponseClaim;
  readonly #options: IdempotencyOptions;
  /** Those that the answer is made of. */
  turns: Parameters<OnTurns>[0] = [];

  constructor(c: Context, underway: ResponseClaim, options: IdempotencyOptions) {
    this.#c = c;
    this.#underway = underway;
    this.#options = options;
  }

  /** Nobody is to suffer of a key that can't be given up: it runs out. */
  async drop(): Promise<void> {
    await this.#quietly(() => this.#underway.release());
  }

  async keep(answer: Response): Promise<Response> {
    if (!isLasting(answer.status)) {
      await this.drop();
      return answer;
    }
    if (!isStream(answer)) {
      const bytes = await answer.bytes();
      await this.#store(answer, bytes.length > MAX_STORED_BYTES ? null : bytes);
      return new Response(bytes, answer);
    }
    return new Response(this.#watched(answer), answer);
  }

  /** A stream's body as it is, which ends when it is stored. */
  #watched(answer: Response): ReadableStream<Uint8Array> {
    const reader = answer.body!.getReader();
    const collected = new Collected();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            collected.push(value);
            return controller.enqueue(value);
          }
          await this.#store(answer, collected.take());
          controller.close();
        } catch (error) {
          collected.take();
          await this.drop();
          controller.error(error);
        }
      },
      cancel: async (reason) => {
        collected.take();
        await reader.cancel(reason);
        await this.drop();
      },
    });
  }

  /** @param body `null` if it is too large to be kept. */
  async #store(answer: Response, body: Uint8Array | null): Promise<void> {
    const { status, headers } = answer;
    const states = await this.#states();
    // What is cut short because its reader left is not what it asked for.
    if (!this.#isWhole(answer, body, states) || this.#c.req.raw.signal.aborted) {
      return await this.drop();
    }
    if (body === null) return await this.#quietly(() => this.#underway.storeWithoutBody(states));
    const kept = Object.fromEntries(
      [...headers].filter(([name]) => !OWN_HEADERS.includes(name)),
    );
    await this.#quietly(() => this.#underway.store({ status, headers: kept, body }, states));
  }

  /** Whether an answer came to its end: by its last event, or, where that is not at hand, its turns. */
  #isWhole(answer: Response, body: Uint8Array | null, states: readonly string[]): boolean {
    if (!isStream(answer)) return true;
    if (body === null) return states.length === this.turns.length;
    const { isWhole = endsWithDone } = this.#options;
    return isWhole(new TextDecoder().decode(body));
  }

  /** The states that the answer names: all turns have ended. */
  async #states(): Promise<string[]> {
    const ends = await Promise.allSettled(this.turns.map((turn) => turn.result()));
    return ends.flatMap((end) => end.status === "fulfilled" ? end.value.stateId ?? [] : []);
  }

  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log(`The answer to ${this.#c.req.path} could not be kept`, error);
    }
  }
}

function isStream({ headers }: Response): boolean {
  return /^text\/event-stream/.test(headers.get("content-type") ?? "");
}

function endsWithDone(text: string): boolean {
  return text.endsWith("data: [DONE]\n\n");
}

/** A stream's bytes as they come, unless they are too many. */
class Collected {
  /** Of all streams that this process collects. */
  static #total = 0;
  #chunks: Uint8Array[] | null = [];
  #bytes = 0;

  push(chunk: Uint8Array): void {
    if (this.#chunks === null) return;
    const { length } = chunk;
    if (this.#bytes + length > MAX_STORED_BYTES || Collected.#total + length > COLLECTED_BYTES) {
      this.take();
      this.#chunks = null;
      return;
    }
    this.#chunks.push(chunk.slice());
    this.#bytes += length;
    Collected.#total += length;
  }

  /** All of them, once; `null` if they were too many. */
  take(): Uint8Array<ArrayBuffer> | null {
    const chunks = this.#chunks;
    if (chunks === null) return null;
    const bytes = new Uint8Array(this.#bytes);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    Collected.#total -= this.#bytes;
    this.#chunks = [];
    this.#bytes = 0;
    return bytes;
  }
}

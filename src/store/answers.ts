/**
 * Answers that are given once: a request that is sent again under the same key gets what the first
 * one got. `[tenant, "idempotency", hash of route and key]` is claimed before the work is done, by
 * an atomic that only one wins, and holds where the answer lies once it is complete. A claim that
 * is not renewed runs out soon, so that a worker that is killed blocks nobody for long.
 *
 * The answer lies in chunks `[tenant, "answer", id, i]`, apart from the blobs of states: it is one
 * row's, and expires with it.
 */

import { InferenceError } from "../core/errors.ts";
import { toHex } from "../core/hex.ts";
import { sha256 } from "../core/sha256.ts";
import type { Backend, Key } from "./backend.ts";
import { type BlobReference, Blobs, isBlobReference } from "./blobs.ts";
import { answersKey } from "./keys.ts";
import { damagedRow, decodeRow, isTime } from "./row_json.ts";
import { newId, type RandomBytes } from "./state_id.ts";

/** Milliseconds that an answer is given again. */
export const ANSWER_MS = 24 * 3_600_000;
/** Milliseconds that a claim holds unless it is renewed. */
export const CLAIM_MS = 30_000;
/** How often a claim is tried while the key changes hands. */
const ATTEMPTS = 8;

export interface AnswersOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  random: RandomBytes;
}

/** What is asked for once. */
export interface OnceRequest {
  /** The client's. */
  key: string;
  /** Keys of different routes are different keys. */
  route: string;
  /** All that decides on the answer. */
  body: string;
}

interface AnswerRow {
  version: 1;
  /** Hash of the request's body. */
  body: string;
  /** Whose claim it is, or was. */
  owner: string;
  /** Epoch milliseconds: of the claim, then of the answer. */
  expires: number;
  answer: BlobReference | null;
}

/** The right to answer, until it runs out. */
export interface Claim {
  /** Asks for 30 seconds more; tells whether it is still held. */
  renew(): Promise<boolean>;
  /** Lets the key lead to an answer; nobody may change `bytes` any more. */
  complete(bytes: Uint8Array): Promise<void>;
  /** Lets the next request have the key. */
  release(): Promise<void>;
}

/** Requests with a key, each answered once. */
export class Answers {
  readonly #options: AnswersOptions;
  readonly #blobs: Blobs;

  /** Answers of one tenant in a backend. */
  constructor(options: AnswersOptions) {
    this.#options = options;
    this.#blobs = new Blobs(options.backend, { ...options, area: "answer" });
  }

  /**
   * The answer that was given before, or the right to give one.
   *
   * @throws InferenceError `idempotency_key_reused` for another body under a known key,
   * `request_in_progress` while the first request is being answered, or `store_unavailable`
   */
  async claim(request: OnceRequest): Promise<Uint8Array | Claim> {
    const { backend, tenant, now, random } = this.#options;
    const { secret } = backend;
    const named = [request.route, request.key, ...(secret === undefined ? [] : [secret])];
    const key: Key = [...answersKey(tenant), await hash(named)];
    const body = await hash([request.body]);
    const owner = newId("", random);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const entry = await backend.get(key);
      const row = entry && answerIn(entry.value);
      if (entry && row && row.expires > now()) {
        // Won by a write that was tried again after its answer was lost.
        if (row.owner === owner) return this.#claim(key, row, entry.versionstamp);
        if (row.body !== body) throw reused(request.key);
        if (row.answer === null) throw inProgress(request.key);
        return await this.#blobs.read(row.answer);
      }
      const claimed: AnswerRow = {
        version: 1,
        body,
        owner,
        expires: now() + CLAIM_MS,
        answer: null,
      };
      const versionstamp = await this.#put(key, claimed, entry?.versionstamp ?? null);
      if (versionstamp !== null) return this.#claim(key, claimed, versionstamp);
    }
    throw inProgress(request.key);
  }

  #claim(key: Key, claimed: AnswerRow, since: string): Claim {
    const { backend, now } = this.#options;
    let held: string | null = since;
    /** Writes come one after the other: each checks what the one before has written. */
    let last: Promise<unknown> = Promise.resolve();
    const inTurn = <T>(write: () => Promise<T>): Promise<T> => {
      const next = last.then(write);
      last = next.catch(() => {});
      return next;
    };
    const put = async (row: AnswerRow): Promise<boolean> => {
      if (held === null) return false;
      held = await this.#put(key, row, held) ?? await this.#written(key, row);
      return held !== null;
    };
    return {
      renew: () => inTurn(() => put({ ...claimed, expires: now() + CLAIM_MS })),
      complete: (bytes) =>
        inTurn(async () => {
          const expires = now() + ANSWER_MS;
          const answer = await this.#blobs.write(bytes, expires);
          if (!await put({ ...claimed, expires, answer })) await this.#blobs.delete(answer);
        }),
      release: () =>
        inTurn(async () => {
          if (held === null) return;
          await backend.atomic([{ key, versionstamp: held }], [{ type: "delete", key }]);
          held = null;
        }),
    };
  }

  #put(key: Key, row: AnswerRow, versionstamp: string | null): Promise<string | null> {
    const { backend, now } = this.#options;
    const value = new TextEncoder().encode(JSON.stringify(row));
    const expireIn = Math.max(1, row.expires - now());
    return backend.atomic([{ key, versionstamp }], [{ type: "set", key, value, expireIn }]);
  }

  /** The versionstamp of a row that was written though its writer was told otherwise. */
  async #written(key: Key, row: AnswerRow): Promise<string | null> {
    const entry = await this.#options.backend.get(key);
    const found = entry && answerIn(entry.value);
    const own = found?.owner === row.owner && found.expires === row.expires &&
      found.answer?.id === row.answer?.id;
    return own ? entry!.versionstamp : null;
  }
}

/** Bytes of a row and of the answer that it leads to, unless that has run out. */
export function answerBytes(row: Uint8Array, now: number): number {
  try {
    const { expires, answer } = answerIn(row);
    return expires > now ? row.length + (answer?.bytes ?? 0) : 0;
  } catch {
    // Whoever asks for it is told that it is damaged.
    return row.length;
  }
}

function answerIn(bytes: Uint8Array): AnswerRow {
  const options = { what: "an answer that was given before", row: "it" };
  const { body, owner, expires, answer } = decodeRow(bytes, options);
  const fine = typeof body === "string" && typeof owner === "string" && isTime(expires) &&
    (answer === null || isBlobReference(answer));
  if (!fine) throw damagedRow("it lacks fields", options);
  return { version: 1, body, owner, expires, answer };
}

async function hash(parts: readonly string[]): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(JSON.stringify(parts))));
}

function reused(key: string): InferenceError {
  return new InferenceError(
    "idempotency_key_reused",
    `Idempotency-Key: ${JSON.stringify(key)} was sent with another body before; ` +
      "send a new key with a new request",
    { param: "Idempotency-Key" },
  );
}

function inProgress(key: string): InferenceError {
  return new InferenceError(
    "request_in_progress",
    `Idempotency-Key: the first request with ${JSON.stringify(key)} is being answered still; ` +
      "try again in a moment",
    { param: "Idempotency-Key" },
  );
}

/** Answers as routes give them, kept under a client's key: given once, and again to who asks again. */

import {
  type Claim,
  CLAIM_MS,
  type IdempotencyRecords,
} from "../store/idempotency/idempotency_records.ts";
import type { IdempotencyApi, ResponseClaim, StoredResponse } from "./session_api.ts";
import type { IdempotentRequest } from "../store/idempotency/idempotent_request.ts";

/** Answers by their idempotency keys, and who waits for them. */
export class IdempotencyService implements IdempotencyApi {
  readonly #answers: IdempotencyRecords;

  /** A desk in front of a store's answers. */
  constructor(answers: IdempotencyRecords) {
    this.#answers = answers;
  }

  /** What was answered before, or what an answer is to be handed to. Throws as `Answers.claim`. */
  async begin(
    request: IdempotentRequest,
  ): Promise<{ given: StoredResponse } | { underway: ResponseClaim }> {
    const found = await this.#answers.claim(request);
    if (found instanceof Uint8Array) return { given: decodeAnswer(found) };
    return { underway: underway(found) };
  }
}

function underway(claim: Claim): ResponseClaim {
  // A store that can't be reached may be reached the next time, while the claim lasts.
  const timer = setInterval(() => claim.renew().catch(() => {}), CLAIM_MS / 3);
  return {
    store: (answer, states) => {
      clearInterval(timer);
      return claim.complete(encodeAnswer(answer), states);
    },
    storeWithoutBody: (states) => {
      clearInterval(timer);
      return claim.completeWithout(states);
    },
    release: () => {
      clearInterval(timer);
      return claim.release();
    },
  };
}

/** A line of JSON, then the body as it is. */
function encodeAnswer({ status, headers, body }: StoredResponse): Uint8Array {
  const head = new TextEncoder().encode(`${JSON.stringify({ status, headers })}\n`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

function decodeAnswer(bytes: Uint8Array): StoredResponse {
  const end = bytes.indexOf(10);
  const { status, headers } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  return { status, headers, body: bytes.subarray(end + 1) };
}

/**
 * Idempotency: stores the response to a request under the client's key and returns it for retries.
 */

import {
  type Claim,
  CLAIM_MS,
  type IdempotencyRecords,
} from "../store/idempotency/idempotency_records.ts";
import type { IdempotencyApi, ResponseClaim, StoredResponse } from "./session_api.ts";
import type { IdempotentRequest } from "../store/idempotency/idempotent_request.ts";

/** Responses by their idempotency keys. */
export class IdempotencyService implements IdempotencyApi {
  readonly #records: IdempotencyRecords;

  /** Creates the service for a store's records. */
  constructor(records: IdempotencyRecords) {
    this.#records = records;
  }

  /**
   * Returns the stored response, or claims the key. Throws the errors of
   * `IdempotencyRecords.claim`.
   */
  async begin(
    request: IdempotentRequest,
  ): Promise<{ stored: StoredResponse } | { claim: ResponseClaim }> {
    const found = await this.#records.claim(request);
    if (found instanceof Uint8Array) return { stored: decodeResponse(found) };
    return { claim: responseClaim(found) };
  }
}

function responseClaim(claim: Claim): ResponseClaim {
  // If the store is unreachable, a later renewal may succeed before the claim expires.
  const timer = setInterval(() => claim.renew().catch(() => {}), CLAIM_MS / 3);
  return {
    store: (response, states) => {
      clearInterval(timer);
      return claim.complete(encodeResponse(response), states);
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

/** The format is one line of JSON, then the body. */
function encodeResponse({ status, headers, body }: StoredResponse): Uint8Array {
  const head = new TextEncoder().encode(`${JSON.stringify({ status, headers })}\n`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

function decodeResponse(bytes: Uint8Array): StoredResponse {
  const end = bytes.indexOf(10);
  const { status, headers } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  return { status, headers, body: bytes.subarray(end + 1) };
}

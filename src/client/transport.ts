/** Sends requests to a worker with `fetch`. */

import { ApiError, toApiError } from "./api_error.ts";
import type { CallOptions } from "./types.ts";

/** How the client reaches its worker. */
export interface ClientOptions {
  /** The worker's address, with or without `/v1`, such as `http://localhost:8000`. */
  baseURL: string;
  /** The API key of the worker or of a proxy in front of it, sent as a bearer token. */
  apiKey?: string | undefined;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch | undefined;
}

export interface TransportRequest extends CallOptions {
  method?: "GET" | "POST" | "DELETE" | undefined;
  /** A body to send as JSON. */
  json?: unknown;
  /** A binary body. */
  bytes?: Uint8Array<ArrayBuffer> | Blob | undefined;
  /** An additional status that counts as success. */
  alsoAccept?: number | undefined;
}

export class Transport {
  readonly #root: string;
  readonly #apiKey: string | undefined;
  readonly #fetch: typeof fetch;

  constructor({ baseURL, apiKey, fetch: customFetch }: ClientOptions) {
    this.#root = baseURL.replace(/\/+$/, "").replace(/\/v1$/, "");
    this.#apiKey = apiKey;
    // Browsers require the global object as `this`.
    this.#fetch = customFetch ?? ((input, init) => fetch(input, init));
  }

  /** @throws ApiError for an error response; errors of `fetch` pass through. */
  async send(path: string, request: TransportRequest = {}): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.#apiKey !== undefined) headers.authorization = `Bearer ${this.#apiKey}`;
    if (request.idempotencyKey !== undefined) headers["idempotency-key"] = request.idempotencyKey;
    if (request.json !== undefined) headers["content-type"] = "application/json";
    if (request.bytes !== undefined) headers["content-type"] = "application/octet-stream";
    const response = await this.#fetch(this.#root + path, {
      method: request.method ??
        (request.json === undefined && request.bytes === undefined ? "GET" : "POST"),
      headers,
      body: request.json === undefined ? request.bytes ?? null : JSON.stringify(request.json),
      signal: request.signal ?? null,
    });
    if (response.ok || response.status === request.alsoAccept) return response;
    throw toApiError(await response.json().catch(() => null), response);
  }

  /** Sends a request and parses the JSON response. Throws like `send`. */
  async json<T>(path: string, request?: TransportRequest): Promise<T> {
    const response = await this.send(path, request);
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      const { status, headers } = response;
      const requestId = headers.get("x-request-id");
      throw new ApiError("Cannot parse the response: it is not JSON", {
        status,
        code: "unknown",
        requestId,
      });
    }
  }
}

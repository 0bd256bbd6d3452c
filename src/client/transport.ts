/** Requests to a worker, by whatever `fetch` there is. */

import { ApiError, toApiError } from "./api_error.ts";
import type { CallOptions } from "./types.ts";

/** Which worker is asked, and how. */
export interface ClientOptions {
  /** Where the worker is, with or without `/v1`: `http://localhost:8000`. */
  baseURL: string;
  /** A key of the worker's, or of what stands in front of it; sent as a bearer token. */
  apiKey?: string | undefined;
  /** Used in place of the global one. */
  fetch?: typeof fetch | undefined;
}

export interface TransportRequest extends CallOptions {
  method?: "GET" | "POST" | "DELETE" | undefined;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  bytes?: Uint8Array<ArrayBuffer> | Blob | undefined;
  /** A status besides 200s whose body is an answer all the same. */
  alsoAccept?: number | undefined;
}

export class Transport {
  readonly #root: string;
  readonly #apiKey: string | undefined;
  readonly #fetch: typeof fetch;

  constructor({ baseURL, apiKey, fetch: own }: ClientOptions) {
    this.#root = baseURL.replace(/\/+$/, "").replace(/\/v1$/, "");
    this.#apiKey = apiKey;
    // Browsers insist on their own `this`.
    this.#fetch = own ?? ((input, init) => fetch(input, init));
  }

  /** @throws ApiError for an answer that tells of an error; what `fetch` throws passes through. */
  async send(path: string, call: TransportRequest = {}): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.#apiKey !== undefined) headers.authorization = `Bearer ${this.#apiKey}`;
    if (call.idempotencyKey !== undefined) headers["idempotency-key"] = call.idempotencyKey;
    if (call.json !== undefined) headers["content-type"] = "application/json";
    if (call.bytes !== undefined) headers["content-type"] = "application/octet-stream";
    const response = await this.#fetch(this.#root + path, {
      method: call.method ?? (call.json === undefined && call.bytes === undefined ? "GET" : "POST"),
      headers,
      body: call.json === undefined ? call.bytes ?? null : JSON.stringify(call.json),
      signal: call.signal ?? null,
    });
    if (response.ok || response.status === call.alsoAccept) return response;
    throw toApiError(await response.json().catch(() => null), response);
  }

  /** The body of an answer; throws as `send`. */
  async json<T>(path: string, call?: TransportRequest): Promise<T> {
    const response = await this.send(path, call);
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      const { status, headers } = response;
      const requestId = headers.get("x-request-id");
      throw new ApiError("The answer is not JSON", { status, code: "unknown", requestId });
    }
  }
}

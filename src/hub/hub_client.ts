/**
 * The HTTP client of a model hub. It follows redirects itself, so that only the hub's own origin gets
 * the token. A failed request throws either a TransientError, which `retry` repeats, or a
 * HubStatusError.
 */

import { parseRetryAfter, retry, throwIfCancelled, TransientError } from "./retry.ts";

export interface HubClientOptions {
  /** The hub's address, without a trailing slash. */
  endpoint: string;
  /** The access token for private and gated repositories. */
  token?: string | undefined;
  signal?: AbortSignal | undefined;
  onRetry?: ((reason: string, seconds: number) => void) | undefined;
  /** Closes a connection that receives no bytes for this many milliseconds. */
  idleTimeoutMs?: number | undefined;
}

const MAX_REDIRECTS = 8;
const IDLE_TIMEOUT_MS = 60_000;

/** Attempts without progress: after the hub's first response, and before it. */
const MAX_ATTEMPTS = 9;
const MAX_FIRST_ATTEMPTS = 4;

/** The headers that describe a file when the hub redirects to its bytes. */
const LINKED_HEADERS = ["x-linked-etag", "x-linked-size"];

/** The hub rejected a request; repeating it does not help. */
export class HubStatusError extends Error {
  constructor(
    readonly status: number,
    /** The hub's error code: `GatedRepo`, `RepoNotFound`, `EntryNotFound`. */
    readonly code: string | null,
    message: string,
  ) {
    super(message);
  }
}

export class HubClient {
  readonly endpoint: string;
  readonly signal: AbortSignal | undefined;
  readonly idleTimeoutMs: number;
  readonly #origin: string;
  readonly #token: string | undefined;
  readonly #onPause: HubClientOptions["onRetry"];
  #hasResponded = false;

  constructor(options: HubClientOptions) {
    this.endpoint = options.endpoint;
    this.signal = options.signal;
    this.idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
    this.#origin = new URL(options.endpoint).origin;
    this.#token = options.token;
    this.#onPause = options.onRetry;
  }

  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** Calls `retry` with this client's options. */
  withRetries<T>(work: (onProgress: () => void) => Promise<T>): Promise<T> {
    return retry(work, {
      signal: this.signal,
      onRetry: this.#onPause,
      maxAttempts: this.#hasResponded ? MAX_ATTEMPTS : MAX_FIRST_ATTEMPTS,
    });
  }

  /**
   * Sends one request and follows redirects. The response of another origin gets the hub's
   * `x-linked-*` headers.
   *
   * @throws TransientError, HubStatusError; InferenceError `cancelled`.
   */
  async get(url: string, headers: HeadersInit = {}): Promise<Response> {
    const linked = new Headers();
    let target = new URL(url);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const response = await this.#request(target, headers);
      const fromHub = target.origin === this.#origin;
      if (fromHub) {
        this.#hasResponded = true;
        for (const name of LINKED_HEADERS) {
          const value = response.headers.get(name);
          if (value !== null) linked.set(name, value);
        }
      }
      const location = response.headers.get("location");
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel();
        target = resolveRedirect(target, location);
        continue;
      }
      if (response.ok) return withHeaders(response, target, linked);
      throw await failure(response, target, fromHub);
    }
    throw new HubStatusError(
      310,
      null,
      `${this.endpoint} redirects more than ${MAX_REDIRECTS} times`,
    );
  }

  /**
   * Yields the bytes of a response.
   *
   * @throws TransientError if the connection is lost or idle too long; InferenceError `cancelled`.
   */
  async *body(response: Response): AsyncGenerator<Uint8Array> {
    if (!response.body) return;
    const reader = response.body.getReader();
    let timedOut = false;
    try {
      while (true) {
        const timer = setTimeout(() => {
          timedOut = true;
          reader.cancel().catch(() => {});
        }, this.idleTimeoutMs);
        let read;
        try {
          read = await reader.read();
        } catch (cause) {
          throwIfCancelled(this.signal);
          throw new TransientError("The connection was lost", { cause });
        } finally {
          clearTimeout(timer);
        }
        throwIfCancelled(this.signal);
        if (timedOut) {
          throw new TransientError(`No data received for ${this.idleTimeoutMs / 1000} s`);
        }
        if (read.done) return;
        yield read.value;
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  async #request(url: URL, headers: HeadersInit): Promise<Response> {
    const allHeaders = new Headers(headers);
    // Lengths and ranges must apply to the uncompressed bytes.
    allHeaders.set("accept-encoding", "identity");
    allHeaders.delete("authorization");
    if (this.#token !== undefined && url.origin === this.#origin) {
      allHeaders.set("authorization", `Bearer ${this.#token}`);
    }
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.idleTimeoutMs);
    const signals = this.signal ? [timeout.signal, this.signal] : [timeout.signal];
    try {
      return await fetch(url, {
        headers: allHeaders,
        redirect: "manual",
        signal: AbortSignal.any(signals),
      });
    } catch (cause) {
      throwIfCancelled(this.signal);
      const why = timeout.signal.aborted
        ? `no response within ${this.idleTimeoutMs / 1000} s`
        : reason(cause as Error);
      throw new TransientError(`Cannot reach ${url.origin}: ${why}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Returns the message of the innermost cause; the outer messages repeat the address. */
function reason(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  const text = inner.message || error.message;
  return text.replace(/^.*error sending request for url \([^)]*\):? ?/, "") || error.message;
}

function resolveRedirect(from: URL, location: string): URL {
  const to = URL.parse(location, from);
  if (to === null || !/^https?:$/.test(to.protocol)) {
    throw new HubStatusError(310, null, `${from.origin} redirects to an invalid address`);
  }
  return to;
}

/** Returns the response with the hub's linked headers and with the final address. */
function withHeaders(response: Response, url: URL, linked: Headers): Response {
  const headers = new Headers(response.headers);
  for (const name of LINKED_HEADERS) headers.delete(name);
  for (const [name, value] of linked) headers.set(name, value);
  // With this header, the hub's library would use a temporary address as the file's permanent one.
  headers.delete("x-cache");
  const { status, statusText } = response;
  const copy = new Response(response.body, { status, statusText, headers });
  return Object.defineProperty(copy, "url", { value: url.href });
}

async function failure(response: Response, url: URL, fromHub: boolean): Promise<Error> {
  const { status, headers } = response;
  const code = headers.get("x-error-code");
  const serverMessage = headers.get("x-error-message");
  await response.body?.cancel();
  if (status === 429 || status === 408 || status >= 500 || (!fromHub && status !== 416)) {
    // Another origin usually rejects an expired address; a new request to the hub returns a fresh
    // one.
    const retryAfter = parseRetryAfter(headers.get("retry-after"), Date.now());
    return new TransientError(`${url.origin} returned status ${status}`, { retryAfter });
  }
  const shown = serverMessage?.replaceAll(/[^\x20-\x7e]/g, " ").slice(0, 300);
  return new HubStatusError(status, code, shown ?? `status ${status}`);
}

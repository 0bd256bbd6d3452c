/**
 * Requests to a hub: the token goes to the hub's own origin and nowhere else, redirects are followed
 * by hand for that, and a status becomes either an interruption, worth another try, or a refusal.
 */

import { throwIfCancelled, retry, parseRetryAfter, TransientError } from "./retry.ts";

export interface HubClientOptions {
  /** The hub's address, without a slash at its end. */
  endpoint: string;
  /** For repositories that are not open to all. */
  token?: string | undefined;
  signal?: AbortSignal | undefined;
  onRetry?: ((reason: string, seconds: number) => void) | undefined;
  /** Milliseconds without a byte after which a connection counts as lost. */
  idleTimeoutMs?: number | undefined;
}

const MAX_REDIRECTS = 8;
const SILENCE = 60_000;

/** Tries in a row: of a hub that has answered before, and of one that never has. */
const TRIES = 9;
const FIRST_TRIES = 4;

/** What the hub says of a file when it sends its bytes from elsewhere. */
const LINKED = ["x-linked-etag", "x-linked-size"];

/** A status that will not be another one the next time. */
export class HubStatusError extends Error {
  constructor(
    readonly status: number,
    /** The hub's own code: `GatedRepo`, `RepoNotFound`, `EntryNotFound`. */
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
  #answered = false;

  constructor(options: HubClientOptions) {
    this.endpoint = options.endpoint;
    this.signal = options.signal;
    this.idleTimeoutMs = options.idleTimeoutMs ?? SILENCE;
    this.#origin = new URL(options.endpoint).origin;
    this.#token = options.token;
    this.#onPause = options.onRetry;
  }

  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** As `retrying`, by this hub's patience. */
  withRetries<T>(work: (progressed: () => void) => Promise<T>): Promise<T> {
    return retry(work, {
      signal: this.signal,
      onRetry: this.#onPause,
      maxAttempts: this.#answered ? TRIES : FIRST_TRIES,
    });
  }

  /**
   * One try, through redirects. An answer from elsewhere carries what the hub has said of the file.
   *
   * @throws Interruption, Refusal; InferenceError `cancelled`.
   */
  async get(url: string, headers: HeadersInit = {}): Promise<Response> {
    const linked = new Headers();
    let at = new URL(url);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const response = await this.#request(at, headers);
      const atHub = at.origin === this.#origin;
      if (atHub) {
        this.#answered = true;
        for (const name of LINKED) {
          const value = response.headers.get(name);
          if (value !== null) linked.set(name, value);
        }
      }
      const location = response.headers.get("location");
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel();
        at = redirected(at, location);
        continue;
      }
      if (response.ok) return described(response, at, linked);
      throw await failure(response, at, atHub);
    }
    throw new HubStatusError(310, null, `${this.endpoint} redirects in a circle`);
  }

  /**
   * The bytes of an answer as they come.
   *
   * @throws Interruption where they end too soon or nothing comes any more; InferenceError `cancelled`.
   */
  async *body(response: Response): AsyncGenerator<Uint8Array> {
    if (!response.body) return;
    const reader = response.body.getReader();
    let silent = false;
    try {
      while (true) {
        const timer = setTimeout(() => {
          silent = true;
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
        if (silent) throw new TransientError(`Nothing has come for ${this.idleTimeoutMs / 1000} s`);
        if (read.done) return;
        yield read.value;
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  async #request(url: URL, headers: HeadersInit): Promise<Response> {
    const sent = new Headers(headers);
    // Lengths and ranges are of the bytes as they are, not of a compressed form.
    sent.set("accept-encoding", "identity");
    sent.delete("authorization");
    if (this.#token !== undefined && url.origin === this.#origin) {
      sent.set("authorization", `Bearer ${this.#token}`);
    }
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.idleTimeoutMs);
    const signals = this.signal ? [late.signal, this.signal] : [late.signal];
    try {
      return await fetch(url, {
        headers: sent,
        redirect: "manual",
        signal: AbortSignal.any(signals),
      });
    } catch (cause) {
      throwIfCancelled(this.signal);
      const why = late.signal.aborted
        ? `no answer in ${this.idleTimeoutMs / 1000} s`
        : reason(cause as Error);
      throw new TransientError(`Cannot reach ${url.origin}: ${why}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The innermost message of an error: what is around it repeats the address. */
function reason(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  const text = inner.message || error.message;
  return text.replace(/^.*error sending request for url \([^)]*\):? ?/, "") || error.message;
}

function redirected(from: URL, location: string): URL {
  const to = URL.parse(location, from);
  if (to === null || !/^https?:$/.test(to.protocol)) {
    throw new HubStatusError(310, null, `${from.origin} redirects to what is no address`);
  }
  return to;
}

/** The answer with what the hub said on the way, and with its address. */
function described(response: Response, url: URL, linked: Headers): Response {
  const headers = new Headers(response.headers);
  for (const name of LINKED) headers.delete(name);
  for (const [name, value] of linked) headers.set(name, value);
  // By this header the hub's library would take an address that expires for the file's own.
  headers.delete("x-cache");
  const { status, statusText } = response;
  const copy = new Response(response.body, { status, statusText, headers });
  return Object.defineProperty(copy, "url", { value: url.href });
}

async function failure(response: Response, url: URL, atHub: boolean): Promise<Error> {
  const { status, headers } = response;
  const code = headers.get("x-error-code");
  const told = headers.get("x-error-message");
  await response.body?.cancel();
  if (status === 429 || status === 408 || status >= 500 || (!atHub && status !== 416)) {
    // Elsewhere, a refusal is most often of an address that has expired; the hub gives another.
    const retryAfter = parseRetryAfter(headers.get("retry-after"), Date.now());
    return new TransientError(`${url.origin} answers with status ${status}`, { retryAfter });
  }
  const shown = told?.replaceAll(/[^\x20-\x7e]/g, " ").slice(0, 300);
  return new HubStatusError(status, code, shown ?? `status ${status}`);
}

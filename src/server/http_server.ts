/**
 * An HTTP server that survives failures to accept connections. `Deno.serve` ends when it cannot
 * accept a connection, for example because the process has no file descriptors left.
 */

import type { Logger } from "../core/log.ts";

export interface HttpServerOptions {
  hostname: string;
  /** 0 selects a free port. */
  port: number;
  /**
   * Handles a request. `completed` settles when the response has been sent or the client has
   * disconnected.
   */
  fetch(request: Request, info: { completed: Promise<void> }): Response | Promise<Response>;
  log: Logger;
}

/** Milliseconds between attempts to listen again. */
const RELISTEN_DELAY_MS = 250;

/** Minimum milliseconds between two warnings about failed connections. */
const WARNING_INTERVAL_MS = 60_000;

/**
 * Accepts connections until it is shut down. If a connection cannot be accepted, it closes all
 * connections without a request in progress, to free file descriptors.
 */
export class HttpServer {
  /** The port that it listens on. */
  readonly port: number;
  readonly #options: HttpServerOptions;
  /** `null` while it waits to listen again. */
  #listener: Listener | null;
  /** Failed listeners that still handle requests. */
  readonly #drainingListeners = new Set<Promise<void>>();
  #relistenTimer: ReturnType<typeof setTimeout> | undefined;
  #lastWarning = -Infinity;

  /** @throws The error of `Deno.serve` if it cannot listen on the address */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    const listener = this.#listen(options.port);
    this.#listener = listener;
    this.port = listener.port;
  }

  /** Stops accepting connections. Resolves when all responses have been sent. */
  async shutdown(): Promise<void> {
    clearTimeout(this.#relistenTimer);
    await Promise.all([this.#listener?.shutdown(), ...this.#drainingListeners]);
  }

  #listen(port: number): Listener {
    const listener = new Listener({ ...this.#options, port });
    listener.finished.catch((error: unknown) => {
      this.#listener = null;
      this.#warn(error);
      const drained = listener.drain().finally(() => this.#drainingListeners.delete(drained));
      this.#drainingListeners.add(drained);
      this.#relistenLater();
    });
    return listener;
  }

  #relistenLater(): void {
    this.#relistenTimer = setTimeout(() => {
      try {
        this.#listener = this.#listen(this.port);
      } catch (error) {
        this.#warn(error);
        this.#relistenLater();
      }
    }, RELISTEN_DELAY_MS);
  }

  #warn(error: unknown): void {
    const now = performance.now();
    if (now - this.#lastWarning < WARNING_INTERVAL_MS) return;
    this.#lastWarning = now;
    const message = "Cannot accept connections: closing all idle connections";
    this.#options.log.warn(message, { error: String(error) });
  }
}

/** A `Deno.serve` server and its requests in progress. */
class Listener {
  readonly port: number;
  /** Rejects when it can no longer accept connections. */
  readonly finished: Promise<void>;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();
  readonly #inProgress = new Set<Promise<void>>();
  #draining = false;

  constructor({ hostname, port, fetch }: HttpServerOptions) {
    const options = { hostname, port, signal: this.#abort.signal, onListen: () => {} };
    this.#server = Deno.serve(options, async (request, { completed }) => {
      // `completed` rejects if the client disconnects.
      const ended = completed.catch(() => {}).finally(() => this.#inProgress.delete(ended));
      this.#inProgress.add(ended);
      const response = await fetch(request, { completed });
      // The client should send its next request over another connection, to the next listener or,
      // during a shutdown, to another worker.
      if (this.#draining) response.headers.set("connection", "close");
      return response;
    });
    this.port = this.#server.addr.port;
    this.finished = this.#server.finished;
  }

  shutdown(): Promise<void> {
    this.#draining = true;
    return this.#server.shutdown();
  }

  /** Closes all connections once there is no request in progress. */
  async drain(): Promise<void> {
    this.#draining = true;
    while (this.#inProgress.size > 0) await Promise.all(this.#inProgress);
    this.#abort.abort();
  }
}

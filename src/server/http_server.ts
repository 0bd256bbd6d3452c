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
const AGAIN_MS = 250;

/** Minimum milliseconds between two warnings about failed connections. */
const TOLD_MS = 60_000;

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
  readonly #dropped = new Set<Promise<void>>();
  #again: ReturnType<typeof setTimeout> | undefined;
  #told = -Infinity;

  /** @throws The error of `Deno.serve` if it cannot listen on the address */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    const listener = this.#listen(options.port);
    this.#listener = listener;
    this.port = listener.port;
  }

  /** Stops accepting connections. Resolves when all responses have been sent. */
  async shutdown(): Promise<void> {
    clearTimeout(this.#again);
    await Promise.all([this.#listener?.shutdown(), ...this.#dropped]);
  }

  #listen(port: number): Listener {
    const listener = new Listener({ ...this.#options, port });
    listener.finished.catch((error: unknown) => {
      this.#listener = null;
      this.#tell(error);
      const dropped = listener.drop().finally(() => this.#dropped.delete(dropped));
      this.#dropped.add(dropped);
      this.#listenAgain();
    });
    return listener;
  }

  #listenAgain(): void {
    this.#again = setTimeout(() => {
      try {
        this.#listener = this.#listen(this.port);
      } catch (error) {
        this.#tell(error);
        this.#listenAgain();
      }
    }, AGAIN_MS);
  }

  #tell(error: unknown): void {
    const now = performance.now();
    if (now - this.#told < TOLD_MS) return;
    this.#told = now;
    const message = "Cannot accept connections: closing those without a request";
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
  readonly #underWay = new Set<Promise<void>>();
  #dropping = false;

  constructor({ hostname, port, fetch }: HttpServerOptions) {
    const options = { hostname, port, signal: this.#abort.signal, onListen: () => {} };
    this.#server = Deno.serve(options, async (request, { completed }) => {
      // `completed` rejects if the client disconnects.
      const ended = completed.catch(() => {}).finally(() => this.#underWay.delete(ended));
      this.#underWay.add(ended);
      const response = await fetch(request, { completed });
      // The client should send its next request over another connection, to the next listener or,
      // during a shutdown, to another worker.
      if (this.#dropping) response.headers.set("connection", "close");
      return response;
    });
    this.port = this.#server.addr.port;
    this.finished = this.#server.finished;
  }

  shutdown(): Promise<void> {
    this.#dropping = true;
    return this.#server.shutdown();
  }

  /** Closes all connections once there is no request in progress. */
  async drop(): Promise<void> {
    this.#dropping = true;
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    this.#abort.abort();
  }
}

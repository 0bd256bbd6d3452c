/**
 * Where requests come in. Deno's server ends once it could not take a connection, as when the process
 * has no file descriptor left. This one goes on.
 */

import type { Logger } from "../core/log.ts";

export interface HttpServerOptions {
  hostname: string;
  /** 0: any that is free. */
  port: number;
  /** Answers; `completed` settles when the answer has been sent, or its client has left. */
  fetch(request: Request, info: { completed: Promise<void> }): Response | Promise<Response>;
  log: Logger;
}

/** Milliseconds until it is tried again to listen. */
const AGAIN_MS = 250;

/** Milliseconds for which it is not told again that connections could not be taken. */
const TOLD_MS = 60_000;

/**
 * Takes connections until it is shut down. If one cannot be taken, it drops those that have no
 * request, however little their clients have sent, to make room for others.
 */
export class HttpServer {
  /** What it listens on. */
  readonly port: number;
  readonly #options: HttpServerOptions;
  /** `null`: it waits to listen again. */
  #listener: Listener | null;
  /** Listeners that have failed, and still have requests. */
  readonly #dropped = new Set<Promise<void>>();
  #again: ReturnType<typeof setTimeout> | undefined;
  #told = -Infinity;

  /** @throws what `Deno.serve` does, for an address that it cannot listen on */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    const listener = this.#listen(options.port);
    this.#listener = listener;
    this.port = listener.port;
  }

  /** Takes no more connections; resolves when all answers are sent. */
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
    const message = "Cannot take connections for now: those without a request are dropped";
    this.#options.log.warn(message, { error: String(error) });
  }
}

/** One server of Deno's, and the requests that it has. */
class Listener {
  readonly port: number;
  /** Rejects when no more connections can be taken. */
  readonly finished: Promise<void>;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #dropping = false;

  constructor({ hostname, port, fetch }: HttpServerOptions) {
    const options = { hostname, port, signal: this.#abort.signal, onListen: () => {} };
    this.#server = Deno.serve(options, async (request, { completed }) => {
      // So does one whose client has left.
      const ended = completed.catch(() => {}).finally(() => this.#underWay.delete(ended));
      this.#underWay.add(ended);
      const response = await fetch(request, { completed });
      // What its client asks next is to come over another connection: to the next listener, or, while
      // this worker shuts down, to another worker.
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

  /** Ends all connections, as soon as none of them has a request. */
  async drop(): Promise<void> {
    this.#dropping = true;
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    this.#abort.abort();
  }
}

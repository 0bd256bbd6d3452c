/**
 * What stands before the workers: takes requests in turn to each, but never to the worker that wrote
 * the state which a request resumes.
 */

import type { FleetWorker } from "./workers.ts";

/** Header of an answer that names the worker it is from. */
export const WORKER = "x-fleet-worker";

export class Proxy implements AsyncDisposable {
  readonly #workers: readonly FleetWorker[];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** Which worker wrote a state. */
  readonly #writers = new Map<string, number>();
  #next = 0;

  constructor(workers: readonly FleetWorker[]) {
    this.#workers = workers;
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: badGateway };
    this.#server = Deno.serve(options, (request) => this.#pass(request));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #pass(request: Request): Promise<Response> {
    const body = request.method === "POST" ? await request.text() : null;
    const stateId: string | undefined = body === null ? undefined : JSON.parse(body).state_id;
    const index = this.#choose(stateId);
    const { pathname } = new URL(request.url);
    const answer = await fetch(`${this.#workers[index].url}${pathname}`, {
      method: request.method,
      body,
      signal: request.signal,
    });
    const written = answer.headers.get("x-state-id");
    if (written !== null) this.#writers.set(written, index);
    const headers = new Headers(answer.headers);
    headers.set(WORKER, String(index));
    return new Response(answer.body, { status: answer.status, headers });
  }

  #choose(stateId: string | undefined): number {
    const last = stateId === undefined ? undefined : this.#writers.get(stateId);
    const index = this.#next++ % this.#workers.length;
    return index === last ? this.#next++ % this.#workers.length : index;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** For a worker that is not there, or goes before it answers. */
function badGateway(): Response {
  return new Response("The worker does not answer", { status: 502 });
}

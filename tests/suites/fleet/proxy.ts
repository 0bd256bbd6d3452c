/**
 * A round-robin proxy in front of the workers. It never sends a request to the worker that wrote
 * the state which the request resumes.
 */

import type { FleetWorker } from "./workers.ts";

/** Response header with the number of the worker. */
export const WORKER = "x-fleet-worker";

export class Proxy implements AsyncDisposable {
  readonly #workers: readonly FleetWorker[];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** The worker that wrote each state. */
  readonly #writers = new Map<string, number>();
  #next = 0;

  constructor(workers: readonly FleetWorker[]) {
    this.#workers = workers;
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: badGateway };
    this.#server = Deno.serve(options, (request) => this.#forward(request));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #forward(request: Request): Promise<Response> {
    const body = request.method === "POST" ? await request.text() : null;
    const stateId: string | undefined = body === null ? undefined : JSON.parse(body).state_id;
    const index = this.#choose(stateId);
    const { pathname } = new URL(request.url);
    const response = await fetch(`${this.#workers[index].url}${pathname}`, {
      method: request.method,
      body,
      signal: request.signal,
    });
    const writtenId = response.headers.get("x-state-id");
    if (writtenId !== null) this.#writers.set(writtenId, index);
    const headers = new Headers(response.headers);
    headers.set(WORKER, String(index));
    return new Response(response.body, { status: response.status, headers });
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

/** Response for a worker that is down, or that exits before it responds. */
function badGateway(): Response {
  return new Response("The worker does not respond", { status: 502 });
}

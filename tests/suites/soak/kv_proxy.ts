/**
 * A byte-level proxy between workers and their store that makes the store slow, faulty or
 * unreachable. Bytes that a client sends after a response has begun start its next request:
 * HTTP/1.1 without pipelining, as Deno's client uses it.
 */

import { setTimeout as delay } from "node:timers/promises";

/** Fault modes of the proxy. */
export type FaultMode =
  /** No fault. */
  | "none"
  /** Responses are delayed. */
  | "slow"
  /** Most requests fail with a server error and are not executed. */
  | "errors"
  /** The connection breaks before the request is executed. */
  | "dropped requests"
  /** The request is executed; in half of the cases the connection breaks before the response. */
  | "dropped responses"
  /** The request is executed; in half of the cases the connection breaks within the response. */
  | "truncated responses"
  /** Requests wait until the mode ends. */
  | "hangs"
  /** Connections are refused. */
  | "refused connections";

/** All modes with a fault. */
export const FAULT_MODES: readonly FaultMode[] = [
  "slow",
  "errors",
  "dropped requests",
  "dropped responses",
  "truncated responses",
  "hangs",
  "refused connections",
];

/** Maximum delay of a chunk of a slow response, in milliseconds. */
const SLOW_MS = 1_500;
const ERROR = new TextEncoder().encode("HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n");

/** A proxy in front of one server. */
export class KvProxy implements Disposable {
  readonly #target: Deno.ConnectOptions;
  readonly #random: () => number;
  readonly #connections = new Set<Deno.Conn>();
  readonly #port: number;
  #listener: Deno.Listener;
  #mode: FaultMode = "none";

  constructor(port: number, random: () => number) {
    this.#target = { port, hostname: "127.0.0.1" };
    this.#random = random;
    this.#listener = this.#listen(0);
    this.#port = (this.#listener.addr as Deno.NetAddr).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get mode(): FaultMode {
    return this.#mode;
  }

  set mode(mode: FaultMode) {
    const previous = this.#mode;
    this.#mode = mode;
    if (mode === "refused connections") {
      this.#listener.close();
      for (const connection of this.#connections) closeQuietly(connection);
    } else if (previous === "refused connections") this.#listener = this.#listen(this.#port);
  }

  [Symbol.dispose](): void {
    this.mode = "refused connections";
  }

  #listen(port: number): Deno.Listener {
    const listener = Deno.listen({ port, hostname: "127.0.0.1" });
    (async () => {
      for await (const client of listener) void this.#serve(client).catch(() => {});
    })();
    return listener;
  }

  async #serve(client: Deno.Conn): Promise<void> {
    using ends = new DisposableStack();
    const open = (connection: Deno.Conn) => {
      this.#connections.add(connection);
      ends.defer(() => {
        this.#connections.delete(connection);
        closeQuietly(connection);
      });
      return connection;
    };
    open(client);
    const server = open(await Deno.connect(this.#target));
    const request = { inProgress: false };
    await Promise.any([
      this.#forwardRequests(client, server, request),
      this.#forwardResponses(client, server, request),
    ]);
  }

  /** Forwards requests; returns when the connection must end. */
  async #forwardRequests(client: Deno.Conn, server: Deno.Conn, request: { inProgress: boolean }) {
    for await (const bytes of chunks(client)) {
      const isStart = !request.inProgress;
      while (this.#mode === "hangs") await delay(50);
      if (this.#mode === "dropped requests") return;
      if (isStart && this.#mode === "errors" && this.#random() < 0.8) {
        // The rest of the request cannot be consumed, so the connection ends.
        return await writeAll(client, ERROR);
      }
      request.inProgress = true;
      await writeAll(server, bytes);
    }
  }

  async #forwardResponses(client: Deno.Conn, server: Deno.Conn, request: { inProgress: boolean }) {
    for await (const bytes of chunks(server)) {
      const isStart = request.inProgress;
      request.inProgress = false;
      if (this.#mode === "slow") await delay(SLOW_MS * this.#random());
      if (isStart && this.#mode === "dropped responses" && this.#random() < 0.5) return;
      if (isStart && this.#mode === "truncated responses" && this.#random() < 0.5) {
        return await writeAll(client, bytes.subarray(0, bytes.length >> 1));
      }
      await writeAll(client, bytes);
    }
  }
}

async function* chunks(connection: Deno.Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  while (true) {
    const count = await connection.read(buffer);
    if (count === null) return;
    yield buffer.slice(0, count);
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** The other side, or a fault mode, may have closed it already. */
function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

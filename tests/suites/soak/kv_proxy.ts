/**
 * What stands between workers and their store, byte by byte, and lets the store seem slow, broken or
 * away. What a client sends after an answer has begun is taken for its next request: HTTP/1.1
 * without pipelining, as Deno's client speaks it.
 */

import { setTimeout as delay } from "node:timers/promises";

/** How requests fare. */
export type Weather =
  /** As they should. */
  | "fine"
  /** Answers come a while later. */
  | "slow"
  /** Most get a server's error, and are not done. */
  | "errors"
  /** Not done: the connection breaks. */
  | "cut"
  /** Done: the connection breaks before the answer, half of the times. */
  | "lost answers"
  /** Done: the connection breaks within the answer, half of the times. */
  | "half answers"
  /** Not done before it is over: nobody answers. */
  | "hangs"
  /** Nobody listens. */
  | "refused";

/** All kinds of bad weather. */
export const STORMS: readonly Weather[] = [
  "slow",
  "errors",
  "cut",
  "lost answers",
  "half answers",
  "hangs",
  "refused",
];

/** Milliseconds of a piece of an answer that is slow, at most. */
const SLOW_MS = 1_500;
const ERROR = new TextEncoder().encode("HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n");

/** In front of one server. */
export class KvProxy implements Disposable {
  readonly #target: Deno.ConnectOptions;
  readonly #random: () => number;
  readonly #connections = new Set<Deno.Conn>();
  readonly #port: number;
  #listener: Deno.Listener;
  #weather: Weather = "fine";

  constructor(port: number, random: () => number) {
    this.#target = { port, hostname: "127.0.0.1" };
    this.#random = random;
    this.#listener = this.#listen(0);
    this.#port = (this.#listener.addr as Deno.NetAddr).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get weather(): Weather {
    return this.#weather;
  }

  set weather(weather: Weather) {
    const before = this.#weather;
    this.#weather = weather;
    if (weather === "refused") {
      this.#listener.close();
      for (const connection of this.#connections) closeQuietly(connection);
    } else if (before === "refused") this.#listener = this.#listen(this.#port);
  }

  [Symbol.dispose](): void {
    this.weather = "refused";
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
    const request = { asked: false };
    await Promise.any([
      this.#requests(client, server, request),
      this.#answers(client, server, request),
    ]);
  }

  /** Ends when the connection is to. */
  async #requests(client: Deno.Conn, server: Deno.Conn, request: { asked: boolean }) {
    for await (const bytes of pieces(client)) {
      const begins = !request.asked;
      while (this.#weather === "hangs") await delay(50);
      if (this.#weather === "cut") return;
      if (begins && this.#weather === "errors" && this.#random() < 0.8) {
        // The rest of the request is nobody's, so the connection ends with it.
        return await writeAll(client, ERROR);
      }
      request.asked = true;
      await writeAll(server, bytes);
    }
  }

  async #answers(client: Deno.Conn, server: Deno.Conn, request: { asked: boolean }) {
    for await (const bytes of pieces(server)) {
      const begins = request.asked;
      request.asked = false;
      if (this.#weather === "slow") await delay(SLOW_MS * this.#random());
      if (begins && this.#weather === "lost answers" && this.#random() < 0.5) return;
      if (begins && this.#weather === "half answers" && this.#random() < 0.5) {
        return await writeAll(client, bytes.subarray(0, bytes.length >> 1));
      }
      await writeAll(client, bytes);
    }
  }
}

async function* pieces(connection: Deno.Conn): AsyncGenerator<Uint8Array> {
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

/** It may have been closed by the other side, or by the weather. */
function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** A fake KV Connect server with an empty database and replaceable behavior. */

/** The protobuf response of a KV Connect server to a read of one missing key. */
export const EMPTY_READ = new Uint8Array([0x0a, 0, 0x20, 1, 0x40, 1]);
export const TOKEN = "a-token-of-the-tests";

type Handler = (request: Request) => Response | Promise<Response>;

/** The minimal KV Connect server that Deno accepts, with an empty database. */
export const emptyStore: Handler = (request) => {
  if (request.headers.get("authorization") !== `Bearer ${TOKEN}`) {
    return new Response("Invalid access token.", { status: 401 });
  }
  if (new URL(request.url).pathname !== "/") return new Response(EMPTY_READ);
  return Response.json({
    version: 3,
    databaseId: "00000000-0000-0000-0000-000000000000",
    endpoints: [{ url: "/v2", consistency: "strong" }],
    token: TOKEN,
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  });
};

/** A server with a replaceable handler that can be stopped and started again. */
export class FakeServer implements AsyncDisposable {
  handler: Handler;
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(handler: Handler) {
    this.handler = handler;
    this.#server = this.#serve(0);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async down(): Promise<void> {
    await this.#server.shutdown();
  }

  up(): void {
    this.#server = this.#serve(this.#server.addr.port);
  }

  #serve(port: number): Deno.HttpServer<Deno.NetAddr> {
    const options = { port, hostname: "127.0.0.1", onListen: () => {} };
    return Deno.serve(options, (request) => this.handler(request));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

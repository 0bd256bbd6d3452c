/** Raw requests that no client library would send. */

import assert from "node:assert/strict";
import { HI, type TestApp, testApp } from "../fixtures.ts";
import { ids } from "../../session/fixtures.ts";

const utf8 = new TextEncoder();

/** Serves an app during `run`. */
async function withServer(it: TestApp, run: (port: number) => Promise<void>): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, it.app.fetch);
  try {
    await run(server.addr.port);
    const normal = await fetch(`http://127.0.0.1:${server.addr.port}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify(HI),
    });
    assert.equal((await normal.json()).choices[0].message.content, "fine");
  } finally {
    await server.shutdown();
  }
  assert.deepEqual(it.logged, []);
}

/** Sends pieces until all are sent or the server stops reading, and returns the response. */
async function sent(port: number, pieces: Iterable<Uint8Array | string>): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const sending = (async () => {
    try {
      for (const piece of pieces) {
        let rest = typeof piece === "string" ? utf8.encode(piece) : piece;
        while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
      }
    } catch {
      // The server has sent its response.
    }
  })();
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  try {
    for (let count; (count = await connection.read(buffer)) !== null;) {
      text += decoder.decode(buffer.subarray(0, count), { stream: true });
      // Responses are short and arrive in one read.
      if (/\r\n\r\n[^]*\}$|\r\n\r\n$|\r\n0\r\n\r\n$/.test(text)) break;
    }
  } catch {
    // After a reset, the data received before counts.
  }
  try {
    connection.close();
  } catch {
    // Already closed.
  }
  await sending;
  return text;
}

function head(line: string, ...headers: string[]): string {
  return [line, "host: localhost", "connection: close", ...headers, "", ""].join("\r\n");
}

const CHAT = "POST /v1/chat/completions HTTP/1.1";

const worker = () => testApp({ script: [...ids(" fine", 0)] });

Deno.test("a body with too many chunks is rejected before it has fully arrived", async () => {
  await withServer(worker(), async (port) => {
    const pieces = "1\r\n \r\n".repeat(200_000);
    const answer = await sent(port, [
      head(CHAT, "transfer-encoding: chunked"),
      pieces,
      "0\r\n\r\n",
    ]);
    assert.match(answer, /^HTTP\/1.1 400 [^]*more than 65536 chunks for 65537 bytes/);
  });
});

Deno.test("a compressed body is not decompressed", async () => {
  await withServer(worker(), async (port) => {
    const json = new Blob([JSON.stringify({ ...HI, padding: " ".repeat(1_000_000) })]);
    for (const encoding of ["gzip", "deflate"] as const) {
      const stream = json.stream().pipeThrough(new CompressionStream(encoding));
      const body = new Uint8Array(await new Response(stream).arrayBuffer());
      const headers = [`content-encoding: ${encoding}`, `content-length: ${body.length}`];
      const answer = await sent(port, [head(CHAT, ...headers), body]);
      assert.match(answer, /^HTTP\/1\.1 415 [^]*unsupported_encoding/);
    }
  });
});

Deno.test("an endless body is rejected at the size limit", async () => {
  await withServer(worker(), async (port) => {
    const chunk = `10000\r\n${"[".repeat(65_536)}\r\n`;
    const file = `10000\r\nRWKVSTAT${"x".repeat(65_528)}\r\n`;
    const chunked = "transfer-encoding: chunked";
    const endless = function* (line: string, piece: string) {
      yield head(line, chunked);
      for (let i = 0; i < 10_000; i++) yield piece;
    };
    assert.match(await sent(port, endless(CHAT, chunk)), /^HTTP\/1\.1 413 [^]*payload_too_large/);
    const states = "POST /v1/states HTTP/1.1";
    assert.match(await sent(port, endless(states, file)), /^HTTP\/1\.1 400 [^]*invalid_state_file/);
    const large = await sent(port, [head(CHAT, "content-length: 9000000000"), "{"]);
    assert.match(large, /^HTTP\/1\.1 413 [^]*9000000000 bytes/);
  });
});

Deno.test("path traversal is not possible", async () => {
  await withServer(worker(), async (port) => {
    const paths = [
      ...[
        "/../../etc/passwd",
        "/v1/../../etc/passwd",
        "//etc/passwd",
        "/v1/states/../../x/content",
      ],
      ...["/v1/states/..%2f..%2fetc%2fpasswd/content", "/v1/states/%00/content", "/%2e%2e/x", "/%"],
      ...["/v1/states/%ff", "/v1/conversations/%c0%ae", "/page/../../deno.json", "/deno.json"],
      `/v1/states/${"x".repeat(30_000)}`,
    ];
    for (const path of paths) {
      const answer = await sent(port, [head(`GET ${path} HTTP/1.1`)]);
      assert.match(answer, /^HTTP\/1\.1 404 [^]*"code":"\w+_found"/, path.slice(0, 100));
      assert.ok(answer.length < 4000, `${answer.length}`);
    }
  });
});

Deno.test("malformed and oversized requests are rejected", async () => {
  await withServer(worker(), async (port) => {
    const odd = [
      "\0\0\0\0\r\n\r\n",
      "GET /\0 HTTP/1.1\r\n\r\n",
      head("GET /health HTTP/9.9"),
      head(CHAT, "content-length: -1"),
      head(CHAT, "content-length: 5", "content-length: 6"),
      head("GET /health HTTP/1.1", `x: ${"x".repeat(2_000_000)}`),
      head("GET /health HTTP/1.1", ...Array(5000).fill("x: y")),
      head(CHAT, "transfer-encoding: chunked") + "zz\r\n",
    ];
    for (const text of odd) {
      const answer = await sent(port, [text]);
      assert.match(answer, /^$|^HTTP\/1\.1 4\d\d /, text.slice(0, 60));
    }
  });
});

Deno.test("a Host header cannot change the path of a request", async () => {
  const it = worker();
  await withServer(it, async (port) => {
    for (const host of ["localhost/metrics?", "localhost/metrics#", "a@b", "localhost\\metrics?"]) {
      const text = await sent(port, [
        `GET /ping HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
      ]);
      assert.match(text, /^HTTP\/1\.1 400 /, host);
      assert.doesNotMatch(text, /# TYPE|rwkv:/, host);
    }
    for (const host of ["localhost:8000", "[::1]:80", "my_host.example", "10.0.0.1"]) {
      const text = await sent(port, [
        `GET /ping HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
      ]);
      assert.match(text, /^HTTP\/1\.1 200 /, host);
    }
  });
});

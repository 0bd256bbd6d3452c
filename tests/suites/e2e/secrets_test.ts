/** Log, metrics and traces of a worker that receives secrets in every field. */

import assert from "node:assert/strict";
import { collector } from "./collector.ts";
import { startWorkerProcess, type WorkerProcess } from "./worker_process.ts";

/** Part of every text and key that the client sends. */
const MARK = "xylophon";

const KEY = `${MARK}-key-${"k".repeat(32)}`;
const METRICS_TOKEN = `${MARK}-metrics-${"m".repeat(32)}`;
/** 32 bytes in base64. */
const MASTER_KEY = btoa(MARK.padEnd(32, "s"));

const UNKNOWN = "0123456789abcdef".repeat(3);

interface ClientRequest {
  method?: string;
  path: string;
  key?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
}

async function send(
  { url }: WorkerProcess,
  { method, path, key = KEY, body, headers }: ClientRequest,
) {
  const response = await fetch(`${url}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      "idempotency-key": `${MARK}-${crypto.randomUUID()}`,
      cookie: `session=${MARK}`,
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

const messages = [
  { role: "system", content: `You are ${MARK}. `.repeat(20) },
  { role: "user", content: `Hi, I am ${MARK}!` },
];

Deno.test("logs, metrics, traces and foreign errors contain no secret, prompt, reply or id", async () => {
  const folder = await Deno.makeTempDir();
  const { env, ...telemetry } = collector();
  const kv = `${folder}/states.sqlite3`;
  const ids: string[] = [];
  try {
    await using worker = await startWorkerProcess(kv, {
      device: "cpu",
      env: {
        ...env,
        OTEL_METRICS_EXPORTER: "otlp",
        OTEL_METRIC_EXPORT_INTERVAL: "500",
        RWKV_API_KEYS: `one:${KEY}`,
        RWKV_METRICS_TOKEN: METRICS_TOKEN,
        RWKV_MASTER_KEY: MASTER_KEY,
      },
    });
    const chat = { messages, max_tokens: 4, user: MARK, metadata: { of: MARK } };
    const first = await send(worker, { path: "/v1/chat/completions", body: chat });
    assert.equal(first.status, 200, first.text);
    const { state_id } = JSON.parse(first.text);
    const created = await send(worker, {
      path: "/v1/conversations",
      body: { state_id, metadata: { of: MARK } },
    });
    const conversation = JSON.parse(created.text).id;
    const response = await send(worker, {
      path: "/v1/responses",
      body: {
        input: `Hi, ${MARK}`,
        instructions: MARK,
        max_output_tokens: 4,
        metadata: { a: MARK },
      },
    });
    const responseId = JSON.parse(response.text).id;
    ids.push(state_id, conversation, responseId);
    const fine: ClientRequest[] = [
      { path: "/v1/chat/completions", body: { ...chat, stream: true, stop: MARK } },
      { path: "/v1/chat/completions", body: { ...chat, guided_regex: `${MARK}!` } },
      { path: "/v1/chat/completions", body: { ...chat, messages: messages.slice(1), state_id } },
      { path: "/v1/completions", body: { prompt: `Of ${MARK}`, max_tokens: 4, logprobs: 2 } },
      { path: "/v1/tokenize", body: { prompt: MARK } },
      { path: `/v1/states/${state_id}` },
      { path: `/v1/states/${state_id}/content` },
      { path: `/v1/conversations/${conversation}` },
      { path: `/v1/conversations/${conversation}/items?limit=2&of=${MARK}` },
      { path: `/v1/responses/${responseId}` },
      { path: `/v1/responses/${responseId}/input_items` },
    ];
    for (const request of fine) {
      const { status, text } = await send(worker, request);
      assert.equal(status, 200, `${request.path}: ${text}`);
    }
    const refused: ClientRequest[] = [
      { path: "/v1/models", key: null },
      { path: "/v1/models", key: `${KEY}wrong` },
      { path: `/v1/models?api_key=${KEY}`, key: null },
      { path: "/metrics", key: `${METRICS_TOKEN}wrong` },
      { path: "/v1/chat/completions", body: `{"messages":[{"content":"${MARK}"` },
      { path: "/v1/chat/completions", body: { ...chat, temperature: 9 } },
      { path: "/v1/chat/completions", body: { ...chat, tools: [{ type: MARK }] } },
      { path: "/v1/chat/completions", body: { ...chat, guided_regex: `(${MARK}` } },
      { path: "/v1/chat/completions", body: { messages: [{ role: "user", content: 1 }], stop: 1 } },
      { path: `/v1/states/state_${UNKNOWN}` },
      { path: `/v1/responses/resp_${UNKNOWN}` },
      { path: "/v1/states/import", body: MARK },
      { path: `/v1/conversations/conv_${UNKNOWN}`, body: { metadata: { of: 1 } } },
    ];
    for (const request of refused) {
      const { status, text } = await send(worker, request);
      assert.ok(status >= 400 && status < 500, `${request.path}: ${status}`);
      assert.ok(!text.includes(MARK), `${request.path} answers ${text}`);
    }
    // Errors may repeat names that the client has chosen, but only to that client.
    const named: ClientRequest[] = [
      { path: `/v1/models/${MARK}` },
      { path: "/v1/chat/completions", body: chat, headers: { origin: `https://${MARK}.example` } },
      { path: `/${MARK}/../v1/${MARK}` },
    ];
    for (const request of named) {
      assert.ok((await send(worker, request)).status >= 400, request.path);
    }
    const disconnect = new AbortController();
    const streamed = await fetch(`${worker.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ ...chat, stream: true, max_tokens: 4000 }),
      signal: disconnect.signal,
    });
    ids.push(streamed.headers.get("x-state-id")!);
    disconnect.abort();
    await streamed.body?.cancel().catch(() => {});
    const { text: metrics } = await send(worker, { path: "/metrics", key: METRICS_TOKEN });
    assert.match(metrics, /rwkv:request_success_total/);
    assert.equal(await worker.stop(), 0);

    assert.match(telemetry.received(), /resourceSpans/);
    assert.match(telemetry.received(), /resourceMetrics/);
    assert.match(worker.log(), /"Request completed"/);
    const outputs = { log: worker.log(), metrics, telemetry: telemetry.received() };
    for (const [where, text] of Object.entries(outputs)) {
      for (const secret of [MARK, MASTER_KEY, UNKNOWN, ...ids]) {
        const at = text.indexOf(secret);
        const around = text.slice(Math.max(0, at - 300), at + 200);
        assert.ok(at < 0, `${where} has ${secret}: ${around}`);
      }
    }
  } finally {
    await telemetry.close();
    await Deno.remove(folder, { recursive: true });
  }
});

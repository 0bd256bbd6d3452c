/** An app with the toy model, whose responses are checked against its document. */

import assert from "node:assert/strict";
import type { Hono } from "hono";
import type { ObservedRequest } from "../../routes/middleware/request_observer.ts";
import { type AppOptions, createApp } from "../../routes/app.ts";
import { Metrics } from "../../src/server/metrics.ts";
import type { StoreMonitor, WorkerStatus } from "../../routes/worker.ts";
import { withDocumentCheck } from "./documented.ts";
import { type Harness, harness } from "../session/fixtures.ts";

export const DETAILS = {
  model: "toy",
  device: "webgpu",
  adapter: "llvmpipe",
  software: true,
  deviceReason: "WebGPU engine: requested with --device webgpu",
  warning: "llvmpipe is a software renderer",
  quant: "none",
  loaded: 1,
  memory: { weights: 5, states: 70, work: 900 },
} as const;

export const REACHABLE = { status: "reachable", problem: null, since: 42 } as const;

export const STORE: StoreMonitor = {
  kind: "memory",
  last: () => REACHABLE,
  probe: () => Promise.resolve(REACHABLE),
};

export interface TestApp extends Harness {
  app: Hono;
  logged: unknown[];
}

/** @param options.documented Whether to check responses against the OpenAPI document. Default: true. */
export function testApp(
  options: Parameters<typeof harness>[0] & Partial<AppOptions> & { documented?: boolean } = {},
): TestApp {
  const metrics = new Metrics();
  const storeOptions = { telemetry: metrics, ...options.storeOptions };
  const parts = harness({ telemetry: metrics, ...options, storeOptions });
  const logged: unknown[] = [];
  const worker: WorkerStatus = {
    state: "ready",
    reason: null,
    ready: Promise.resolve({ forTenant: () => parts.sessions }),
    details: DETAILS,
    store: STORE,
  };
  const log = (_message: string, error: unknown) => void logged.push(error);
  const onResponse = (request: ObservedRequest) => metrics.observeResponse(request);
  const app = createApp({ worker, log, metrics, onResponse, ...options });
  return { ...parts, logged, app: options.documented === false ? app : withDocumentCheck(app) };
}

export function post(
  app: Hono,
  body: unknown,
  init: RequestInit = {},
): Response | Promise<Response> {
  return app.request("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
}

export const HI = { model: "toy", messages: [{ role: "user", content: "hi" }] };

interface ErrorObject {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
}

/** Asserts the status, code and keys of an error, and returns it. */
export async function errorOf(
  response: Response | Promise<Response>,
  status: number,
  code: string,
): Promise<ErrorObject> {
  const received = await response;
  const body = await received.json();
  assert.equal(received.status, status, JSON.stringify(body));
  assert.deepEqual(Object.keys(body), ["error"]);
  assert.deepEqual(Object.keys(body.error).sort(), ["code", "message", "param", "type"]);
  assert.equal(body.error.code, code);
  assert.ok(received.headers.get("x-request-id"));
  return body.error;
}

/** Returns the data lines of an event stream. */
export async function dataOf(response: Response): Promise<string[]> {
  const text = await response.text();
  assert.ok(text.endsWith("\n\n"));
  return text.slice(0, -2).split("\n\n").map((block) => {
    assert.match(block, /^data: [^\n]*$/);
    return block.slice("data: ".length);
  });
}

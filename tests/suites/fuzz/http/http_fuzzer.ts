/**
 * Sends damaged requests to an in-memory app, which is complete except for a toy model, and checks
 * every response.
 */

import { createApp } from "../../../../routes/app.ts";
import type { WorkerStatus } from "../../../../routes/worker.ts";
import { Random } from "../../../support/random_data.ts";
import { DETAILS, STORE } from "../../../routes/fixtures.ts";
import { harness, tokenizer as toy, VOCABULARY } from "../../../session/fixtures.ts";
import { Tokenizer } from "../../../../src/tokenizer/tokenizer.ts";
import { MemoryBackend } from "../../../../src/store/backends/memory.ts";
import { createTokenConstraints } from "../../../../src/grammar/token_constraints.ts";
import { TABLE } from "../../../grammar/fixtures.ts";
import {
  type Known,
  type MadeRequest,
  type Operation,
  operationsOf,
  prefixOf,
  RequestMaker,
} from "../../../routes/random_requests.ts";
import { damagedRequest } from "./damage.ts";

/** A request with an invalid response. */
export interface HttpFinding {
  index: number;
  request: MadeRequest;
  fault: string;
}

export interface HttpResult {
  requests: number;
  /** Number of responses by status. */
  statuses: Map<number, number>;
  slowestMs: number;
  /** Growth of heap and buffers since the first requests, in bytes. */
  grown: number;
  findings: HttpFinding[];
}

export interface HttpOptions {
  requests: number;
  seed: number;
  /** Maximum milliseconds of a response, which contains a few tokens. */
  limitMs: number;
  onProgress?: ((done: number) => void) | undefined;
}

/** Server error statuses that the app may return by design. */
const DELIBERATE = [503];

/** A valid request that is sent before, between and after; its reply must not change. */
const VALID_REQUEST = JSON.stringify({
  messages: [{ role: "user", content: "Tell me something." }],
  max_tokens: 24,
  seed: 7,
  temperature: 1,
});

const CHECK_INTERVAL = 500;

export async function fuzzHttp(options: HttpOptions): Promise<HttpResult> {
  const { requests, seed, limitMs, onProgress = () => {} } = options;
  const run = await Run.begin(seed);
  const result: HttpResult = {
    requests: 0,
    statuses: new Map(),
    slowestMs: 0,
    grown: 0,
    findings: [],
  };
  const expected = await run.normal();
  let baseline = 0;
  for (let index = 0; index < requests && result.findings.length < 20; index++) {
    const request = run.next(index);
    const addFinding = (fault: string) => result.findings.push({ index, request, fault });
    const start = performance.now();
    try {
      const status = await withTimeout(run.send(request), 10 * limitMs);
      result.statuses.set(status, (result.statuses.get(status) ?? 0) + 1);
    } catch (error) {
      addFinding(error instanceof Error ? error.stack ?? error.message : String(error));
    }
    const ms = performance.now() - start;
    result.slowestMs = Math.max(result.slowestMs, ms);
    if (ms > limitMs) addFinding(`it took ${Math.round(ms)} ms`);
    for (const fault of run.takeFaults()) addFinding(fault);
    result.requests++;
    if (index % CHECK_INTERVAL !== CHECK_INTERVAL - 1 && index !== requests - 1) continue;
    const text = await run.normal();
    if (text !== expected) addFinding(`a valid request returned ${text} instead of ${expected}`);
    await run.forget();
    if (index < 2 * CHECK_INTERVAL) baseline = memory();
    result.grown = memory() - baseline;
    onProgress(index + 1);
  }
  run.end();
  return result;
}

function memory(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

async function withTimeout<T>(response: Promise<T>, limitMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no response within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([response, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

class Run {
  readonly #seed: number;
  readonly #operations: Operation[];
  readonly #maker: RequestMaker;
  readonly #known: Known;
  readonly #backend: MemoryBackend;
  readonly #sessions: ReturnType<typeof harness>["sessions"];
  readonly #app: ReturnType<typeof createApp>;
  #faults: string[] = [];
  readonly #onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    this.#faults.push(`unhandled: ${event.reason?.stack ?? event.reason}`);
  };

  private constructor(seed: number, parts: {
    document: unknown;
    app: ReturnType<typeof createApp>;
    backend: MemoryBackend;
    sessions: ReturnType<typeof harness>["sessions"];
    log: { error?: (error: unknown) => void };
  }) {
    this.#seed = seed;
    this.#app = parts.app;
    this.#backend = parts.backend;
    this.#sessions = parts.sessions;
    this.#known = { ids: new Map(), files: [] };
    this.#operations = operationsOf(parts.document);
    this.#maker = new RequestMaker(parts.document, this.#known, seed);
    parts.log.error = (error) => this.#faults.push(`logged: ${(error as Error)?.stack ?? error}`);
    globalThis.addEventListener("unhandledrejection", this.#onRejection);
  }

  static async begin(seed: number): Promise<Run> {
    const backend = new MemoryBackend();
    const constrain = createTokenConstraints(TABLE, { endToken: 0 });
    const { sessions, runner } = harness({ backend, tokenizer: quickTokenizer() });
    // The toy model ignores constraints; they are still compiled, and rejected if invalid.
    runner.prepareConstraint = async (constraint) => (await constrain(constraint)).close();
    const worker: WorkerStatus = {
      state: "ready",
      reason: null,
      ready: Promise.resolve({ forTenant: () => sessions }),
      details: DETAILS,
      store: STORE,
    };
    const log: { error?: (error: unknown) => void } = {};
    const app = createApp({ worker, log: (_message, error) => log.error?.(error) });
    const document = await (await app.request("/openapi.json")).json();
    return new Run(seed, { document, app, backend, sessions, log });
  }

  /** Returns request `index`; it depends only on the seed, the number and the known ids. */
  next(index: number): MadeRequest {
    const random = new Random(Math.imul(this.#seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
    const withBody = this.#operations.filter(({ body }) => body !== undefined);
    const parts = this.#maker.request(random.of(random.chance(0.6) ? withBody : this.#operations));
    return random.chance(0.15) ? parts : damagedRequest(parts, random);
  }

  takeFaults(): string[] {
    const faults = this.#faults;
    this.#faults = [];
    return faults;
  }

  async normal(): Promise<string> {
    const response = await this.#app.request("/v1/chat/completions", {
      method: "POST",
      body: VALID_REQUEST,
    });
    const body = await response.json();
    return body.choices?.[0].message.content ?? JSON.stringify(body);
  }

  /** @returns The status. Throws if the response is invalid. */
  async send({ method, url, headers, body }: MadeRequest): Promise<number> {
    let request: Request;
    try {
      const isEmpty = body === undefined || method === "GET" || method === "HEAD";
      request = new Request(new URL(url, "http://localhost"), {
        method,
        headers,
        body: isEmpty ? null : body,
      });
    } catch {
      return 0; // not a request that a client can send
    }
    const response = await this.#app.fetch(request);
    const { status } = response;
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (status >= 500 && !DELIBERATE.includes(status)) {
      throw new Error(`${status}: ${new TextDecoder().decode(bytes.subarray(0, 500))}`);
    }
    this.#learn(response, bytes);
    if (status >= 400 && method !== "HEAD") assertError(bytes);
    return status;
  }

  #learn(response: Response, bytes: Uint8Array<ArrayBuffer>): void {
    if (response.headers.get("content-type") === "application/octet-stream") {
      this.#known.files = [...this.#known.files.slice(-5), bytes];
      return;
    }
    const text = new TextDecoder().decode(bytes);
    for (const [id] of text.matchAll(/\b(?:state|conv|resp|msg)_[0-9a-f]{48}\b/g)) {
      const ids = this.#known.ids.get(prefixOf(id)) ?? [];
      if (!ids.includes(id)) ids.push(id);
      this.#known.ids.set(prefixOf(id), ids.slice(-20));
    }
  }

  /** Deletes all stored rows, so that memory growth shows leaks only. */
  async forget(): Promise<void> {
    await this.#sessions.settled();
    for await (const { key } of this.#backend.list(["default"])) {
      await this.#backend.atomic([], [{ type: "delete", key }]);
    }
    this.#known.ids.clear();
    this.#known.files = [];
  }

  end(): void {
    globalThis.removeEventListener("unhandledrejection", this.#onRejection);
  }
}

/** Returns a tokenizer for the toy model's tokens that is as fast as a real one. */
function quickTokenizer() {
  const tokens = new Map<number, Uint8Array>();
  for (let id = 1; id < VOCABULARY; id++) {
    const bytes = toy.tokenBytes(id);
    if (bytes) tokens.set(id, bytes);
  }
  const tokenizer = new Tokenizer({ name: "toy", tokens, endOfText: 0 });
  return {
    endOfText: 0,
    encode: (text: string) => tokenizer.encode(text),
    tokenBytes: (id: number) => tokenizer.tokenBytes(id),
    decode: (ids: readonly number[]) => toy.decode(ids),
  };
}

function assertError(bytes: Uint8Array): void {
  const text = new TextDecoder().decode(bytes);
  if (text.length > 4096) throw new Error(`error of ${text.length} characters`);
  const { error, ...others } = JSON.parse(text);
  const keys = Object.keys(error).sort().join();
  const isValid = keys === "code,message,param,type" && Object.keys(others).length === 0 &&
    [error.message, error.type, error.code].every((value) => typeof value === "string") &&
    (error.param === null || typeof error.param === "string");
  if (!isValid) throw new Error(`malformed error: ${text.slice(0, 300)}`);
}

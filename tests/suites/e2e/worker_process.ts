/** A worker in a separate process, started like `deno task rwkv serve`, that tests can kill. */

import assert from "node:assert/strict";

const ROOT = new URL("../../..", import.meta.url).pathname;

export interface WorkerProcess extends AsyncDisposable {
  url: string;
  /** Process id. */
  pid: number;
  /** Kills the process with SIGKILL. */
  kill(): Promise<void>;
  /** Stops the process with SIGTERM and returns its exit status. */
  stop(): Promise<number>;
  /** Sends a signal that does not end the process. */
  send(signal: Deno.Signal): void;
  /** Returns the stderr output so far. */
  log(): string;
  /** Resolves when the process has exited. */
  ended: Promise<unknown>;
}

export interface WorkerProcessOptions {
  device?: "auto" | "webgpu" | "cpu";
  flags?: readonly string[];
  env?: Record<string, string>;
  /** The main module. Defaults to the command line. */
  main?: string;
  /** Options of `deno run`. */
  options?: readonly string[];
  /** Limit of open files and sockets. Defaults to that of this process. */
  descriptors?: number;
  /** Kills the process, even before it is ready. */
  signal?: AbortSignal;
}

/** Starts `serve` on a free port and waits until it is ready. */
export async function startWorkerProcess(
  kv: string,
  { device = "auto", flags = [], env = {}, main = "src/cli/main.ts", ...more }:
    WorkerProcessOptions = {},
): Promise<WorkerProcess> {
  const { options = [], descriptors, signal } = more;
  const args = ["run", ...options, "-P=rwkv", main, "serve"]
    .concat("--port", "0", "--kv", kv, "--device", device, ...flags);
  const [program, ...rest] = descriptors === undefined
    ? [Deno.execPath(), ...args]
    : ["sh", "-c", `ulimit -n ${descriptors}; exec "$0" "$@"`, Deno.execPath(), ...args];
  const child = new Deno.Command(program, {
    args: rest,
    cwd: ROOT,
    env,
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const listening = Promise.withResolvers<string>();
  const ready = Promise.withResolvers<void>();
  let started = false;
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of child.stderr) {
      log += decoder.decode(bytes, { stream: true });
      // Avoids searching a long log again for every chunk.
      if (started) continue;
      const port = log.match(/Serving on http:\/\/[\w.]+:(\d+)/)?.[1];
      if (port) listening.resolve(`http://127.0.0.1:${port}`);
      started = log.includes('"Ready"');
      if (started) ready.resolve();
    }
    const early = new Error(`the worker exited before it was ready:\n${log}`);
    listening.reject(early);
    ready.reject(early);
  })();
  ready.promise.catch(() => {});
  signal?.addEventListener("abort", () => void end("SIGKILL"));
  const url = await listening.promise;
  await ready.promise;
  async function end(signal: Deno.Signal): Promise<number> {
    try {
      child.kill(signal);
    } catch (error) {
      // The process may have exited already.
      assert.ok(error instanceof TypeError, String(error));
    }
    const { code } = await child.status;
    await reading;
    return code;
  }
  return {
    url,
    pid: child.pid,
    kill: async () => void await end("SIGKILL"),
    stop: () => end("SIGTERM"),
    send: (signal) => child.kill(signal),
    log: () => log,
    ended: child.status,
    [Symbol.asyncDispose]: async () => void await end("SIGKILL"),
  };
}

/** The parts of a response that tests use. */
export interface Reply {
  status: number;
  text: string;
  stateId: string;
  finishReason: string;
  completionTokens: number;
}

/** Sends one user message, or none, and returns the greedy reply. */
export async function sendMessage(
  url: string,
  message: string | null,
  { stateId, maxTokens }: { stateId?: string; maxTokens?: number } = {},
): Promise<Reply> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify(chatBody(message, { stateId, maxTokens })),
  });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return {
    status: response.status,
    text: body.choices[0].message.content,
    stateId: body.state_id,
    finishReason: body.choices[0].finish_reason,
    completionTokens: body.usage.completion_tokens,
  };
}

export function chatBody(
  message: string | null,
  options: { stateId?: string | undefined; maxTokens?: number | undefined; stream?: boolean } = {},
) {
  return {
    messages: message === null ? [] : [{ role: "user", content: message }],
    temperature: 0,
    state_id: options.stateId,
    max_tokens: options.maxTokens,
    stream: options.stream,
  };
}

/** Starts a streamed reply. The caller reads the stream. */
export async function streamMessage(
  url: string,
  message: string | null,
  { stateId, signal }: { stateId?: string; signal?: AbortSignal } = {},
): Promise<{ stateId: string; deltas: AsyncGenerator<string> }> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify(chatBody(message, { stateId, stream: true })),
    ...(signal ? { signal } : {}),
  });
  assert.equal(response.status, 200);
  const id = response.headers.get("x-state-id");
  assert.ok(id, "x-state-id is missing");
  return { stateId: id, deltas: deltas(response.body!) };
}

/**
 * Yields the text of every chunk. Returns after `[DONE]` or when the worker reports its shutdown,
 * and throws if the stream ends otherwise.
 */
export async function* deltas(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let buffered = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    buffered += text;
    const events = buffered.split("\n\n");
    buffered = events.pop()!;
    for (const event of events) {
      if (event.startsWith(":")) continue;
      const data = event.replace(/^data: ?/, "");
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error?.code === "shutting_down") return;
      assert.ok(!chunk.error, data);
      yield chunk.choices[0]?.delta.content ?? "";
    }
  }
  throw new Error("the stream ended without [DONE]");
}

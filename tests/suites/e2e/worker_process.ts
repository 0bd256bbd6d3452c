/** The worker as a process of its own, started by the task's own command, and killed at will. */

import assert from "node:assert/strict";

const ROOT = new URL("../../..", import.meta.url).pathname;

export interface WorkerProcess extends AsyncDisposable {
  url: string;
  /** Of the process. */
  pid: number;
  /** Kills it at once, as `kill -9` does. */
  kill(): Promise<void>;
  /** Asks it to stop, as a platform does; returns its exit status. */
  stop(): Promise<number>;
  /** Sends it a signal that it lives on with. */
  send(signal: Deno.Signal): void;
  /** Everything it has written on stderr so far. */
  log(): string;
  /** Resolves when it has ended, by itself or not. */
  ended: Promise<unknown>;
}

export interface WorkerProcessOptions {
  device?: "auto" | "webgpu" | "cpu";
  flags?: readonly string[];
  env?: Record<string, string>;
  /** What is run; the command line unless told. */
  main?: string;
  /** Of `deno run`. */
  options?: readonly string[];
  /** Files and sockets that it may have open; as many as this process unless told. */
  descriptors?: number;
  /** Kills it, even before it is ready. */
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
      // Long logs are not to be looked through again and again.
      if (started) continue;
      const port = log.match(/Serving on http:\/\/[\w.]+:(\d+)/)?.[1];
      if (port) listening.resolve(`http://127.0.0.1:${port}`);
      started = log.includes('"Ready"');
      if (started) ready.resolve();
    }
    const early = new Error(`the worker ended before it was ready:\n${log}`);
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
      // It may have ended by itself.
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

/** What tests read of an answer. */
export interface Reply {
  status: number;
  text: string;
  stateId: string;
  finishReason: string;
  completionTokens: number;
}

/** One user message, or none, answered greedily. */
export async function ask(
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

/** Starts a streamed reply; the body is left to the caller. */
export async function askStreaming(
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
  assert.ok(id, "the header has the state's id");
  return { stateId: id, deltas: deltas(response.body!) };
}

/**
 * Text of every chunk; ends at `[DONE]`, or where the worker says that it shuts down, and throws if
 * the stream ends otherwise.
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

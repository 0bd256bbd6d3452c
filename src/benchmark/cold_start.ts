/** Measures the startup of a worker in its own process, from process start to the first token. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient, type WorkerHealth } from "../client/mod.ts";
import { InferenceError } from "../core/errors.ts";
import type { LoadTimes } from "../engine/engine.ts";
import { LOAD_PHASES, loadField, READY_MESSAGE, SERVING_PREFIX } from "../server/startup_log.ts";

/** Timings of one worker start. */
export interface ColdStart {
  /** Milliseconds from process start until the worker listens. */
  listeningMs: number;
  /** Loading phases of the engine, which follow. */
  loading: LoadTimes;
  /** Milliseconds from process start until the worker is ready for turns. */
  readyMs: number;
  /** Milliseconds from process start until the first token arrives. */
  firstTokenMs: number;
  /** The worker's model and device. */
  worker: WorkerHealth;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The parent folder of the store: the only folder that a worker may write to. */
const DATA = "data";

/**
 * Starts a worker with the arguments of `serve` on a free port and an empty store, requests a
 * token, and ends the worker.
 *
 * @throws InferenceError `not_ready` with the worker's log if it exits before it is ready.
 */
export async function measureColdStart(args: readonly string[]): Promise<ColdStart> {
  await mkdir(DATA, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: DATA, prefix: "cold-start-" });
  const kv = join(folder, "states.sqlite3");
  const start = Date.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-q", "--config", join(ROOT, "deno.json"), "-P=start", "--no-prompt"],
      ...[join(ROOT, "src/cli/main.ts"), "serve", "--host", "127.0.0.1", "--port", "0"],
      ...["--kv", kv, ...args],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    const { url, listening, ready, loading } = await waitUntilReady(child.stderr);
    const client = createClient({ baseURL: `http://127.0.0.1:${new URL(url).port}` });
    const stream = await client.stream({
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 16,
    });
    for await (const _ of stream) break;
    const firstToken = Date.now() - start;
    const worker = await client.health();
    return {
      listeningMs: listening - start,
      loading,
      readyMs: ready - start,
      firstTokenMs: firstToken,
      worker,
    };
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // The process has already exited.
    }
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns the startup information in a worker's log. Times are epoch milliseconds. */
async function waitUntilReady(
  stderr: ReadableStream<Uint8Array>,
): Promise<{ url: string; listening: number; ready: number; loading: LoadTimes }> {
  let log = "";
  // Cancelling the stream would close the pipe that the worker writes to.
  const texts = stderr.pipeThrough(new TextDecoderStream()).values({ preventCancel: true });
  for await (const text of texts) {
    log += text;
    const entries = log.split("\n").slice(0, -1).map(parseLogLine);
    const ready = entries.find(({ message }) => message === READY_MESSAGE);
    if (!ready) continue;
    const serving = entries.find(({ message }) => message?.startsWith(SERVING_PREFIX))!;
    return {
      url: serving.message!.slice(SERVING_PREFIX.length),
      listening: Date.parse(serving.time!),
      ready: Date.parse(ready.time!),
      loading: loadTimes(ready),
    };
  }
  throw new InferenceError(
    "not_ready",
    `Cannot measure startup: the worker exited:\n${log.trim()}`,
  );
}

/** Parses a log line. A line that is not JSON has no message. */
function parseLogLine(line: string): { time?: string; message?: string } & Record<string, unknown> {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}

function loadTimes(ready: Record<string, unknown>): LoadTimes {
  const times = LOAD_PHASES.map((part) => [part, ready[loadField(part)]]);
  return Object.fromEntries(times.filter(([, ms]) => ms !== undefined));
}

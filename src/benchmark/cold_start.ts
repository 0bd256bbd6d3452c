/**
 * The start of a worker, timed: a process of its own, from its start to the first token of a reply.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient, type WorkerHealth } from "../client/mod.ts";
import { InferenceError } from "../core/errors.ts";
import type { LoadTimes } from "../engine/engine.ts";
import { LOAD_PHASES, loadField, READY_MESSAGE, SERVING_PREFIX } from "../server/startup_log.ts";

/** Milliseconds of one start. */
export interface ColdStart {
  /** From the start of the process until it listens. */
  listeningMs: number;
  /** The engine's own parts of what comes then. */
  loading: LoadTimes;
  /** From the start of the process until turns are taken. */
  readyMs: number;
  /** From the start of the process until the first token has arrived. */
  firstTokenMs: number;
  /** What the worker runs. */
  worker: WorkerHealth;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Below the only folder that a worker may write to. */
const DATA = "data";

/**
 * Starts a worker of `serve`'s arguments on a port and a store of its own, asks it for a token, and
 * ends it.
 *
 * @throws InferenceError `not_ready` with what the worker says, where it ends before it is ready.
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
    const { url, listening, ready, loading } = await untilReady(child.stderr);
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
      // It has ended by itself.
    }
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** What a worker's log says of its start; times by the clock. */
async function untilReady(
  log: ReadableStream<Uint8Array>,
): Promise<{ url: string; listening: number; ready: number; loading: LoadTimes }> {
  let said = "";
  // Whoever cancels a log closes the pipe that the worker writes to.
  const texts = log.pipeThrough(new TextDecoderStream()).values({ preventCancel: true });
  for await (const text of texts) {
    said += text;
    const entries = said.split("\n").slice(0, -1).map(parse);
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
  throw new InferenceError("not_ready", `Cannot time a start: the worker ended:\n${said.trim()}`);
}

/** A line of the log; what is none has no message. */
function parse(line: string): { time?: string; message?: string } & Record<string, unknown> {
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

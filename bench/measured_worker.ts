/** Runs a worker in its own process and measures it from outside: memory, descriptors and log. */

import { V8_FLAGS } from "./heap_usage.ts";
import type { WorkerMemory } from "./memory_worker.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** A summary of a worker's log on stderr. */
export interface LogSummary {
  /** Number and size of the lines about requests. */
  requests: number;
  bytes: number;
  /** All other lines after the worker became ready. */
  otherLines: string[];
}

/** Starts `serve` with `args` on a free port; resolves when it is ready. */
export async function measuredWorker(args: readonly string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", V8_FLAGS, "-P=rwkv", "bench/memory_worker.ts"]
      .concat("--port", "0", ...args),
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log: LogSummary = { requests: 0, bytes: 0, otherLines: [] };
  const ready = Promise.withResolvers<string>();
  const reading = (async () => {
    let url = "", isReady = false;
    for await (const line of linesOf(child.stderr)) {
      url ||= line.match(/Serving on (http:\/\/localhost:\d+)/)?.[1] ?? "";
      if (line.includes('"message":"Request completed"')) {
        log.requests++;
        log.bytes += line.length + 1;
      } else if (isReady) {
        log.otherLines.push(line);
      } else if (line.includes('"message":"Ready"')) {
        isReady = true;
        ready.resolve(url.replace("localhost", "127.0.0.1"));
      } else {
        console.error(line);
      }
    }
    ready.reject(new Error("Worker exited before it was ready"));
  })();
  const reports = linesOf(child.stdout);
  const url = await ready.promise;
  return {
    url,
    log,
    /** Returns memory usage after garbage collections, the lowest of three samples. */
    memory: async (): Promise<WorkerMemory> => {
      const samples: WorkerMemory[] = [];
      for (let i = 0; i < 3; i++) {
        child.kill("SIGUSR2");
        const { value } = await reports.next();
        samples.push(JSON.parse(value!));
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      return samples.reduce((lowest, sample) => sample.rss < lowest.rss ? sample : lowest);
    },
    /** Returns the targets of its open file descriptors: file names, or a kind such as `socket`. */
    descriptors: (): string[] => {
      const folder = `/proc/${child.pid}/fd`;
      return [...Deno.readDirSync(folder)].map(({ name }) => {
        return Deno.readLinkSync(`${folder}/${name}`).replace(/:\[\d+\]$/, "");
      }).sort();
    },
    /** Sends SIGTERM; resolves to the exit status. */
    stop: async (): Promise<number> => {
      child.kill("SIGTERM");
      const { code } = await child.status;
      await reading;
      return code;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let partial = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (partial + text).split("\n");
    partial = lines.pop()!;
    yield* lines;
  }
}

/** A worker in a process of its own, looked at from outside: its memory, descriptors and log. */

import { V8_FLAGS } from "./collected.ts";
import type { HeldMemory } from "./memory_worker.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** What a worker has written on stderr. */
export interface WrittenLog {
  /** Of the lines that tell of a request. */
  requests: number;
  bytes: number;
  /** All other lines since the worker was ready. */
  others: string[];
}

/** Starts `serve` on a free port, with `args` besides; resolves when it is ready. */
export async function measuredWorker(args: readonly string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", V8_FLAGS, "-P=rwkv", "bench/memory_worker.ts"]
      .concat("--port", "0", ...args),
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log: WrittenLog = { requests: 0, bytes: 0, others: [] };
  const ready = Promise.withResolvers<string>();
  const reading = (async () => {
    let url = "", isReady = false;
    for await (const line of linesOf(child.stderr)) {
      url ||= line.match(/Serving on (http:\/\/localhost:\d+)/)?.[1] ?? "";
      if (line.includes('"message":"Request completed"')) {
        log.requests++;
        log.bytes += line.length + 1;
      } else if (isReady) {
        log.others.push(line);
      } else if (line.includes('"message":"Ready"')) {
        isReady = true;
        ready.resolve(url.replace("localhost", "127.0.0.1"));
      } else {
        console.error(line);
      }
    }
    ready.reject(new Error("the worker ended before it was ready"));
  })();
  const answers = linesOf(child.stdout);
  const url = await ready.promise;
  return {
    url,
    log,
    /** After collections of garbage; the least of a few looks. */
    memory: async (): Promise<HeldMemory> => {
      const seen: HeldMemory[] = [];
      for (let i = 0; i < 3; i++) {
        child.kill("SIGUSR2");
        const { value } = await answers.next();
        seen.push(JSON.parse(value!));
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      return seen.reduce((least, held) => held.rss < least.rss ? held : least);
    },
    /** What its open file descriptors lead to, by kind: the names of files, else `socket` and so on. */
    descriptors: (): string[] => {
      const folder = `/proc/${child.pid}/fd`;
      return [...Deno.readDirSync(folder)].map(({ name }) => {
        return Deno.readLinkSync(`${folder}/${name}`).replace(/:\[\d+\]$/, "");
      }).sort();
    },
    /** Asks it to stop; resolves to its exit status. */
    stop: async (): Promise<number> => {
      child.kill("SIGTERM");
      const { code } = await child.status;
      await reading;
      return code;
    },
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

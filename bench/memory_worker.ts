/**
 * The worker process of `bench:memory`: `serve` with the given flags. On SIGUSR2 it collects the
 * garbage of both its threads and writes their memory usage to stdout as a line of JSON.
 */

import { serveWorker } from "../src/server/serve.ts";
import { parseFlags } from "../src/settings/parse_flags.ts";
import { SERVE_FLAGS } from "../src/settings/settings.ts";
import { heapAfterGc, type ThreadMemory, workerHeapAfterGc } from "./heap_usage.ts";

/** Memory usage of the process, in bytes. */
export interface WorkerMemory {
  /** Resident set size. */
  rss: number;
  /** Heap of the main thread, which serves HTTP, and of the engine's thread. */
  host: ThreadMemory;
  engine: ThreadMemory;
}

let engine: Worker;

globalThis.Worker = class extends Worker {
  constructor(_: string | URL, options?: WorkerOptions) {
    super(new URL("./memory_engine.ts", import.meta.url), options);
    engine = this;
  }
};

Deno.addSignalListener("SIGUSR2", async () => {
  const memory: WorkerMemory = {
    engine: await workerHeapAfterGc(engine),
    host: await heapAfterGc(),
    rss: Deno.memoryUsage().rss,
  };
  console.log(JSON.stringify(memory));
});

const command = { name: "serve", flags: SERVE_FLAGS };
const { flags } = parseFlags(command, Deno.args, (name) => Deno.env.get(name));
await serveWorker(flags);
Deno.exit(0);

/**
 * The worker of `bench:memory`, a process of its own: `serve` with the flags given, which at SIGUSR2
 * collects the garbage of both its threads and writes what they hold as a line of JSON on stdout.
 */

import { serveWorker } from "../src/server/serve.ts";
import { parseFlags } from "../src/settings/parse_flags.ts";
import { SERVE_FLAGS } from "../src/settings/settings.ts";
import { heapAfterGc, type ThreadMemory, workerHeapAfterGc } from "./heap_usage.ts";

/** Bytes that the process holds. */
export interface WorkerMemory {
  /** Resident. */
  rss: number;
  /** By the thread of HTTP, and by that of the engine. */
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
  const held: WorkerMemory = {
    engine: await workerHeapAfterGc(engine),
    host: await heapAfterGc(),
    rss: Deno.memoryUsage().rss,
  };
  console.log(JSON.stringify(held));
});

const table = { name: "serve", flags: SERVE_FLAGS };
const { flags } = parseFlags(table, Deno.args, (name) => Deno.env.get(name));
await serveWorker(flags);
Deno.exit(0);

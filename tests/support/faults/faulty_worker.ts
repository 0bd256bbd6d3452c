/**
 * `serve` with two signal handlers: SIGUSR1 loses the device; SIGUSR2 writes a line of JSON to
 * stderr with the heap usage of its threads after garbage collection (which requires `--expose-gc`)
 * and the longest stall of its event loop.
 */

import { heapAfterGc, workerHeapAfterGc } from "../../../bench/collected.ts";
import type { OpenEngine } from "../../../src/server/open_engine.ts";
import { parseFlags } from "../../../src/settings/parse_flags.ts";
import { serveWorker } from "../../../src/server/serve.ts";
import { SERVE_FLAGS } from "../../../src/settings/settings.ts";
import { WorkerEngine } from "../../../src/engine/worker_rpc.ts";
import { EventLoopWatchdog } from "./event_loop_watchdog.ts";
import { LIVE_MEMORY_LABEL, type LiveMemoryLine } from "./live_memory.ts";

let worker: Worker | undefined;

const openEngine: OpenEngine = (options, callbacks) => {
  const url = new URL("./faulty_engine_worker.ts", import.meta.url);
  worker = new Worker(url, { type: "module" });
  return WorkerEngine.open(worker, options, callbacks);
};

Deno.addSignalListener("SIGUSR1", () => worker?.postMessage("lose"));
let watchdog = new EventLoopWatchdog();

Deno.addSignalListener("SIGUSR2", async () => {
  // Garbage collection itself stalls the event loop.
  watchdog[Symbol.dispose]();
  const stallMs = watchdog.longestStall;
  const engine = await workerHeapAfterGc(worker!);
  const line: LiveMemoryLine = {
    message: LIVE_MEMORY_LABEL,
    host: await heapAfterGc(),
    engine,
    stallMs,
  };
  console.error(JSON.stringify(line));
  watchdog = new EventLoopWatchdog();
});
const { flags } = parseFlags(
  { name: "serve", flags: SERVE_FLAGS },
  Deno.args.slice(1),
  (name) => Deno.env.get(name),
);
await serveWorker(flags, { openEngine });
Deno.exit(0);

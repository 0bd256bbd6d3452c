/**
 * `serve`, but SIGUSR1 takes its device away, and SIGUSR2 lets it write to stderr, as a line of JSON,
 * what its threads hold without their garbage (for which V8 needs `--expose-gc`), and for how long
 * its event loop stood still.
 */

import { heapAfterGc, workerHeapAfterGc } from "../../../bench/heap_usage.ts";
import type { OpenEngine } from "../../../src/server/open_engine.ts";
import { parseFlags } from "../../../src/settings/parse_flags.ts";
import { serveWorker } from "../../../src/server/serve.ts";
import { SERVE_FLAGS } from "../../../src/settings/settings.ts";
import { WorkerEngine } from "../../../src/engine/worker_rpc.ts";
import { EventLoopWatchdog } from "./event_loop_watchdog.ts";
import { LIVE_MEMORY_LABEL, type LiveMemoryLine } from "./live_memory.ts";

let worker: Worker | undefined;

const openEngine: OpenEngine = (options, told) => {
  const url = new URL("./faulty_engine_worker.ts", import.meta.url);
  worker = new Worker(url, { type: "module" });
  return WorkerEngine.open(worker, options, told);
};

Deno.addSignalListener("SIGUSR1", () => worker?.postMessage("lose"));
let watchdog = new EventLoopWatchdog();

Deno.addSignalListener("SIGUSR2", async () => {
  // To collect the garbage is a stall of its own.
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

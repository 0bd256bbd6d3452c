/** `serve`, but SIGUSR1 takes its device away. */

import type { OpenEngine } from "../../src/cli/open_engine.ts";
import { parseFlags } from "../../src/cli/parse_flags.ts";
import { serve, serveWorker } from "../../src/cli/serve.ts";
import { WorkerEngine } from "../../src/engine/worker_host.ts";

let worker: Worker | undefined;

const openEngine: OpenEngine = (options, told) => {
  const url = new URL("./faulty_engine_worker.ts", import.meta.url);
  worker = new Worker(url, { type: "module" });
  return WorkerEngine.open(worker, options, told);
};

Deno.addSignalListener("SIGUSR1", () => worker?.postMessage("lose"));
const { flags } = parseFlags(serve, Deno.args.slice(1), (name) => Deno.env.get(name));
await serveWorker(flags, { openEngine });
Deno.exit(0);

/**
 * The worker as a `fetch` handler, for `deno serve main.ts` and hosts that want one. Settings come
 * from the environment: `RWKV_MODEL`, `RWKV_KV`, `RWKV_DEVICE`, `RWKV_QUANT`, `RWKV_VOCAB`.
 */

import { parseFlags } from "./src/cli/parse_flags.ts";
import { serve, stderrLogger } from "./src/cli/serve.ts";
import { type StartedWorker, startWorker } from "./src/cli/worker.ts";

let worker: StartedWorker | undefined;

/** The model is loaded with the first request, which waits for it. */
function started(): StartedWorker {
  if (!worker) {
    const log = stderrLogger();
    const { flags } = parseFlags(serve, [], (name) => Deno.env.get(name));
    worker = startWorker(flags, { log });
    worker.ready.catch((error) => log.error(error.message));
  }
  return worker;
}

export default {
  fetch: (request: Request): Response | Promise<Response> => started().app.fetch(request),
};

/**
 * The worker as a `fetch` handler, for `deno serve` and hosts that want one. Settings come from the
 * environment, as for `serve`; host and port are the server's.
 *
 * The model is loaded with the first request: `/ping` answers 204 and `/ready` 503 until it runs,
 * turns wait for it. Where other machines reach it and there are no keys, nor RWKV_OPEN, that first
 * request ends the process instead.
 */

import { parseFlags } from "../src/settings/parse_flags.ts";
import { stderrLogger } from "../src/server/serve.ts";
import { onStopSignals } from "../src/server/signals.ts";
import { redactSpanUrls } from "../src/server/span_urls.ts";
import { logDevice } from "../src/server/startup_log.ts";
import { type StartedWorker, startWorker } from "../src/server/start_worker.ts";
import type { RunningSessions } from "../src/server/open_sessions.ts";
import { numberSetting, SERVE_FLAGS } from "../src/settings/settings.ts";

/** Milliseconds that the last of replies may take on their way. */
const SEND_MS = 500;

redactSpanUrls();
let worker: StartedWorker | undefined;
/** Where the host's server listens; anywhere, for all that is known, before it says so. */
let hostname = "0.0.0.0";

function started(): StartedWorker {
  if (worker) return worker;
  const log = stderrLogger();
  const { flags } = parseFlags(
    { name: "serve", flags: SERVE_FLAGS },
    [],
    (name) => Deno.env.get(name),
  );
  const grace = numberSetting(flags, "grace");
  worker = startWorker(flags, { log, hostname });
  worker.accessValidated.catch((error) => {
    log.error(error.message);
    Deno.exit(1);
  });
  worker.ready.then((running) => {
    logDevice(log, running.engine.info);
    const undo = onStopSignals(() => {
      // A second signal ends the process at once.
      undo();
      log.info("Stopping");
      void end(running, 1000 * grace);
    });
  }, (error) => log.error(error.message));
  return worker;
}

/** The server is the host's: turns end, new ones are refused, and the process goes with them. */
async function end(running: RunningSessions, grace: number): Promise<void> {
  await running.close(grace);
  setTimeout(() => Deno.exit(0), SEND_MS);
}

export default {
  onListen: (address) => {
    if (!("hostname" in address)) return;
    hostname = address.hostname;
    stderrLogger().info(`Listening on http://${hostname}:${address.port}`);
  },
  fetch: async (request, info) => {
    const { app, accessValidated: allowed } = started();
    await allowed;
    return await app.fetch(request, info);
  },
} satisfies Deno.ServeDefaultExport;

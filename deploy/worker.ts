/**
 * The worker as a `fetch` handler, for `deno serve` and hosts that expect one. Settings come from
 * the environment, as for `serve`. The server of the host chooses the host name and the port.
 *
 * The first request loads the model. Until it has loaded, `/ping` answers 204, `/ready` answers
 * 503, and turns wait. If other machines can reach the server and neither a key nor RWKV_OPEN is
 * set, the first request ends the process.
 */

import { parseFlags } from "../src/settings/parse_flags.ts";
import { stderrLogger } from "../src/server/serve.ts";
import { onStopSignals } from "../src/server/signals.ts";
import { redactSpanUrls } from "../src/server/span_urls.ts";
import { logDevice } from "../src/server/startup_log.ts";
import { type StartedWorker, startWorker } from "../src/server/start_worker.ts";
import type { RunningSessions } from "../src/server/open_sessions.ts";
import { numberSetting, SERVE_FLAGS } from "../src/settings/settings.ts";

/** Milliseconds reserved for sending the end of the last responses. */
const SEND_MS = 500;

redactSpanUrls();
let worker: StartedWorker | undefined;
/**
 * Address that the host's server listens on. Assumes all interfaces until `onListen` reports it.
 */
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
      // A second signal ends the process immediately.
      undo();
      log.info("Stopping");
      void end(running, 1000 * grace);
    });
  }, (error) => log.error(error.message));
  return worker;
}

/** Ends turns and refuses new ones, then exits, because only the host can stop its server. */
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

/** Serves a worker over HTTP until a signal stops it. */

import type { InferenceError } from "../core/errors.ts";
import { createLogger, type Logger } from "../core/log.ts";
import { formatBytes } from "../core/units.ts";
import { totalBytes } from "../gpu/mod.ts";
import { type Flags, stringFlag, usageError } from "../settings/flags.ts";
import { numberSetting, SETTINGS } from "../settings/settings.ts";
import { HttpServer, type HttpServerOptions } from "./http_server.ts";
import { type RunningSessions, settlesWithin } from "./open_sessions.ts";
import { onStopSignals } from "./signals.ts";
import { redactSpanUrls } from "./span_urls.ts";
import { startWorker, type StartWorkerOptions } from "./start_worker.ts";
import {
  loadFields,
  logDevice,
  READY_MESSAGE,
  SERVING_PREFIX,
  STOPPED_MESSAGE,
} from "./startup_log.ts";

/** Listens on this machine only. An address, because a minimal system may not resolve a name. */
const LOOPBACK = SETTINGS.host.defaultValue;

/**
 * Milliseconds for which a worker continues to return errors after its engine has failed
 * permanently, so that load balancers and clients notice, and restarts do not loop quickly.
 */
export const FAILURE_LINGER_MS = 30_000;

/** Milliseconds reserved for sending the end of the last responses. */
const SEND_MS = 1000;

export interface ServeOptions
  extends Pick<StartWorkerOptions, "openEngine" | "engineLimits" | "onProgress" | "withProgress"> {
  /** Overrides `FAILURE_LINGER_MS`. */
  failureLingerMs?: number | undefined;
  /** Called when loading has ended, successfully or not. */
  onLoaded?: (() => void) | undefined;
  /** Called when the worker is ready, instead of logging the startup and the shutdown. */
  onReady?: ((running: RunningSessions, url: string) => void) | undefined;
}

/**
 * Serves until a signal stops the worker.
 *
 * @throws InferenceError `device_lost` after the engine has failed permanently, which only a new
 * process can fix
 */
export async function serveWorker(
  flags: Flags,
  { failureLingerMs = FAILURE_LINGER_MS, onLoaded = () => {}, onReady, ...options }: ServeOptions =
    {},
): Promise<void> {
  const log = stderrLogger();
  const hostname = stringFlag(flags, "host") ?? LOOPBACK;
  const port = numberSetting(flags, "port");
  const grace = numberSetting(flags, "grace");
  redactSpanUrls();
  const { app, accessValidated, ready, engineFailed, metrics } = startWorker(
    flags,
    {
      ...options,
      log,
      hostname,
    },
  );
  ready.then(onLoaded, onLoaded);
  await accessValidated;
  const { server, url } = listen({
    hostname,
    port,
    fetch: (request, info) => app.fetch(request, info),
    log,
  });
  if (!onReady) log.info(SERVING_PREFIX + url);
  const stop = Promise.withResolvers<void>();
  const signalsDone = onStopSignals(stop.resolve);
  let failure: InferenceError | null = null;
  try {
    const running = await Promise.race([ready, stop.promise]);
    if (!running) {
      // Stopped while the model was loading: there are no turns to wait for.
      log.info("Stopping");
      await server.shutdown();
      return;
    }
    if (onReady) onReady(running, url);
    else logReady(log, running);
    const engineFailure = await Promise.race([stop.promise, engineFailed]);
    if (engineFailure !== undefined && !await settlesWithin(stop.promise, failureLingerMs)) {
      failure = engineFailure;
    }
    log.info("Stopping");
    const sent = server.shutdown();
    await running.close(1000 * grace);
    // A stream ends after its turn, and the client should receive that end.
    await settlesWithin(sent, SEND_MS);
    if (!onReady) {
      log.info(STOPPED_MESSAGE, { ...metrics.turnCounts, in_progress: metrics.inProgress });
    }
  } catch (error) {
    await server.shutdown();
    throw error;
  } finally {
    signalsDone();
  }
  if (failure !== null) throw failure;
}

function logReady(log: Logger, { engine: { info }, modelId, kv, encrypted }: RunningSessions) {
  const { device, adapter, quant, memory } = info;
  const fields = { quant, memory: formatBytes(totalBytes(memory)), kv, encrypted };
  logDevice(log, info);
  log.info(READY_MESSAGE, { model: modelId, device, adapter, ...fields, ...loadFields(info) });
}

/** Creates a logger on stderr: text on a terminal, otherwise JSON. */
export function stderrLogger(): Logger {
  return createLogger({
    write: (line) => console.error(line),
    format: Deno.stderr.isTerminal() ? "text" : "json",
    now: () => new Date(),
  });
}

function listen(options: HttpServerOptions): { server: HttpServer; url: string } {
  const { hostname, port } = options;
  try {
    const server = new HttpServer(options);
    const host = hostname === LOOPBACK ? "localhost" : hostname;
    return { server, url: `http://${host}:${server.port}` };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const inUse = cause instanceof Deno.errors.AddrInUse;
    throw usageError(
      `Cannot listen on ${hostname}:${port}: ` +
        (inUse
          ? "it is in use; choose another one with --port"
          : `${(cause as Error).message}; see --host`),
    );
  }
}

/** `serve`: the worker. */

import type { InferenceError } from "../../core/errors.ts";
import { createLogger, type Logger } from "../../core/log.ts";
import { totalBytes } from "../../gpu/mod.ts";
import {
  type Command,
  type Flags,
  type FlagSpec,
  number,
  text,
  usageError,
} from "../args/command.ts";
import { greeting } from "../output/greeting.ts";
import { HttpServer, type HttpServerOptions } from "../../server/http_server.ts";
import { KEY_DETAILS, KEY_FLAGS } from "../../server/open_access.ts";
import { progressBar } from "../output/progress.ts";
import { ORIGINS_FLAG } from "../../server/origins.ts";
import { onStopSignals } from "../../server/signals.ts";
import { keepUrlsOutOfSpans } from "../../server/span_urls.ts";
import { loadFields, logDevice, READY, SERVING, STOPPED } from "../../server/startup_log.ts";
import { painter } from "../output/terminal.ts";
import { bytesText } from "../../core/units.ts";
import { startWorker, type StartWorkerOptions } from "../../server/start_worker.ts";
import { endsWithin, WORKER_FLAGS } from "../../server/open_sessions.ts";

/** By number: a bare system may have no name for it. */
const LOOPBACK = "127.0.0.1";

const PORT = 8000;

/** Seconds that turns under way get when the worker is told to stop. */
export const GRACE = 8;

/**
 * Milliseconds that a worker whose engine is given up goes on to answer that it has failed, so that
 * balancers and clients learn of it, and a restart in vain does not follow at once.
 */
export const FAILED_MS = 30_000;

/** Milliseconds that the last of replies may take on their way. */
const SEND_MS = 1000;

export const serve: Command = {
  name: "serve",
  summary: "Serves chat over HTTP, each conversation kept by its state id",
  details: KEY_DETAILS,
  examples: [
    "serve",
    "serve --model RWKV-5-World-1B5.pth --vocab rwkv_vocab_v20230424.txt --port 9000",
    "serve --model 0.4b --pull",
    "serve --kv http://denokv:4512   # with DENO_KV_ACCESS_TOKEN set",
    "serve --host 0.0.0.0 --keys keys.txt   # for others, each with a key",
  ],
  flags: {
    ...WORKER_FLAGS,
    host: {
      type: "string",
      value: "H",
      env: "HOST",
      help: "address to listen on; 0.0.0.0 lets other machines in, with keys",
      otherwise: `${LOOPBACK}, this machine only`,
    },
    port: {
      type: "string",
      value: "N",
      env: "PORT",
      help: "port to listen on; 0 for any that is free",
      otherwise: `${PORT}`,
    },
    ...ORIGINS_FLAG,
    grace: {
      type: "string",
      value: "S",
      env: "RWKV_GRACE",
      help: "seconds that replies under way may take to end when the worker is stopped",
      otherwise: `${GRACE}`,
    },
    ...KEY_FLAGS,
  } satisfies Record<string, FlagSpec>,
  run: (flags) => serveWorker(flags),
};

export interface ServeOptions extends Pick<StartWorkerOptions, "openEngine" | "engineLimits"> {
  /** In place of `FAILED_MS`. */
  failedMs?: number | undefined;
}

/**
 * Serves until a signal stops it; `options` go to the worker.
 *
 * @throws InferenceError `device_lost` if its engine is given up, when it has ended: nothing but
 * another process helps then
 */
export async function serveWorker(
  flags: Flags,
  { failedMs = FAILED_MS, ...options }: ServeOptions = {},
): Promise<void> {
  const log = stderrLogger();
  const person = Deno.stderr.isTerminal();
  const hostname = text(flags, "host") ?? LOOPBACK;
  const port = number(flags, "port", { min: 0, max: 65535, integer: true }) ?? PORT;
  const grace = number(flags, "grace", { min: 0, max: 3600 }) ?? GRACE;
  const bar = progressBar("Loading");
  keepUrlsOutOfSpans();
  const { app, allowed, ready, givenUp, metrics } = startWorker(flags, {
    ...options,
    log,
    hostname,
    onProgress: bar.update,
  });
  ready.then(bar.end, bar.end);
  await allowed;
  const { server, url } = listen({
    hostname,
    port,
    fetch: (request, info) => app.fetch(request, info),
    log,
  });
  if (!person) log.info(SERVING + url);
  const stop = Promise.withResolvers<void>();
  const signalsDone = onStopSignals(stop.resolve);
  let failure: InferenceError | null = null;
  try {
    const running = await Promise.race([ready, stop.promise]);
    if (!running) {
      // Told to stop while the model was still on its way: nothing is under way that could end.
      log.info("Stopping");
      await server.shutdown();
      return;
    }
    const { engine: { info }, modelId, kv, encrypted } = running;
    if (person) {
      console.error(greeting({ url, modelId, flags, engine: info, kv }, painter(Deno.stderr)));
    } else {
      const { device, adapter, quant, memory } = info;
      const bytes = bytesText(totalBytes(memory));
      const held = { quant, memory: bytes, kv, encrypted };
      logDevice(log, info);
      log.info(READY, { model: modelId, device, adapter, ...held, ...loadFields(info) });
    }
    const ended = await Promise.race([stop.promise, givenUp]);
    if (ended !== undefined && !await endsWithin(stop.promise, failedMs)) failure = ended;
    log.info("Stopping");
    const sent = server.shutdown();
    await running.close(1000 * grace);
    // Streams end when their turns have ended, and clients are to read that.
    await endsWithin(sent, SEND_MS);
    if (!person) log.info(STOPPED, { ...metrics.turns, underway: metrics.underway });
  } catch (error) {
    await server.shutdown();
    throw error;
  } finally {
    signalsDone();
  }
  if (failure !== null) throw failure;
}

/** A logger on stderr: text on a terminal, JSON elsewhere. */
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
        (inUse ? "it is in use; --port names another" : `${(cause as Error).message}; see --host`),
    );
  }
}

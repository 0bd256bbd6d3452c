/** `serve`: the worker. */

import { createLogger, type Logger } from "../core/log.ts";
import { totalBytes } from "../gpu/mod.ts";
import { type Command, type Flags, type FlagSpec, number, text, usageError } from "./command.ts";
import { greeting } from "./greeting.ts";
import { progressBar } from "./progress.ts";
import { onStopSignals } from "./signals.ts";
import { painter } from "./terminal.ts";
import { bytesText } from "./units.ts";
import { startWorker, type StartWorkerOptions } from "./start_worker.ts";
import { endsWithin, WORKER_FLAGS } from "./worker.ts";

/** By number: a bare system may have no name for it. */
const LOOPBACK = "127.0.0.1";

const PORT = 8000;

/** Seconds that turns under way get when the worker is told to stop. */
export const GRACE = 8;

/** Milliseconds that the last of replies may take on their way. */
const SEND_MS = 1000;

export const serve: Command = {
  name: "serve",
  summary: "Serves chat over HTTP, each conversation kept by its state id",
  examples: [
    "serve",
    "serve --model RWKV-5-World-1B5.pth --vocab rwkv_vocab_v20230424.txt --port 9000",
    "serve --model 0.4b --pull",
    "serve --kv http://denokv:4512   # with DENO_KV_ACCESS_TOKEN set",
  ],
  flags: {
    ...WORKER_FLAGS,
    host: {
      type: "string",
      value: "H",
      env: "HOST",
      help: "address to listen on; 0.0.0.0 lets other machines in",
      default: `${LOOPBACK}, this machine only`,
    },
    port: {
      type: "string",
      value: "N",
      env: "PORT",
      help: "port to listen on; 0 for any that is free",
      default: `${PORT}`,
    },
    grace: {
      type: "string",
      value: "S",
      env: "RWKV_GRACE",
      help: "seconds that replies under way may take to end when the worker is stopped",
      default: `${GRACE}`,
    },
  } satisfies Record<string, FlagSpec>,
  run: (flags) => serveWorker(flags),
};

/** Serves until a signal stops it; `options` go to the worker. */
export async function serveWorker(
  flags: Flags,
  options: Pick<StartWorkerOptions, "openEngine" | "engineLimits"> = {},
): Promise<void> {
  const log = stderrLogger();
  const person = Deno.stderr.isTerminal();
  const hostname = text(flags, "host") ?? LOOPBACK;
  const port = number(flags, "port", { min: 0, max: 65535, integer: true }) ?? PORT;
  const grace = number(flags, "grace", { min: 0, max: 3600 }) ?? GRACE;
  const bar = progressBar("Loading");
  const { app, ready } = startWorker(flags, { ...options, log, onProgress: bar.update });
  ready.then(bar.end, bar.end);
  const { server, url } = listen({ hostname, port, fetch: app.fetch });
  if (!person) log.info(`Serving on ${url}`);
  const stop = Promise.withResolvers<void>();
  const signalsDone = onStopSignals(stop.resolve);
  try {
    const running = await Promise.race([ready, stop.promise]);
    if (!running) {
      // Told to stop while the model was still on its way: nothing is under way that could end.
      log.info("Stopping");
      await server.shutdown();
      return;
    }
    const { engine: { info }, modelId, kv } = running;
    if (person) {
      console.error(greeting({ url, modelId, flags, engine: info, kv }, painter(Deno.stderr)));
    } else {
      const { device, adapter, quant, memory } = info;
      const bytes = bytesText(totalBytes(memory));
      log.info("Ready", { model: modelId, device, adapter, quant, memory: bytes, kv });
    }
    await stop.promise;
    log.info("Stopping");
    const sent = server.shutdown();
    await running.close(1000 * grace);
    // Streams end when their turns have ended, and clients are to read that.
    await endsWithin(sent, SEND_MS);
  } catch (error) {
    await server.shutdown();
    throw error;
  } finally {
    signalsDone();
  }
}

/** A logger on stderr: text on a terminal, JSON elsewhere. */
export function stderrLogger(): Logger {
  return createLogger({
    write: (line) => console.error(line),
    format: Deno.stderr.isTerminal() ? "text" : "json",
    now: () => new Date(),
  });
}

function listen({ hostname, port, fetch }: {
  hostname: string;
  port: number;
  fetch: (request: Request) => Response | Promise<Response>;
}): { server: Deno.HttpServer; url: string } {
  try {
    const options = { hostname, port, onListen: () => {} };
    const server = Deno.serve(options, (request) => fetch(request));
    const host = hostname === LOOPBACK ? "localhost" : hostname;
    return { server, url: `http://${host}:${server.addr.port}` };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const inUse = cause instanceof Deno.errors.AddrInUse;
    throw usageError(
      `Cannot listen on ${hostname}:${port}: ` +
        (inUse ? "it is in use; --port names another" : `${(cause as Error).message}; see --host`),
    );
  }
}

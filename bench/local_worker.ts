/**
 * Runs a complete worker in this process, with its engine in a Worker thread, on a loopback port.
 */

import { HttpServer, type HttpServerOptions } from "../src/server/http_server.ts";
import { startWorker } from "../src/server/start_worker.ts";
import { createLogger } from "../src/core/log.ts";
import type { Flags } from "../src/settings/flags.ts";

/** Serves the model of `flags` from a temporary state store. `env` replaces the environment. */
export async function localWorker(flags: Flags, env: Record<string, string> = {}) {
  const folder = await Deno.makeTempDir();
  const log = createLogger({ write: () => {}, format: "text", now: () => new Date() });
  const hostname = "127.0.0.1";
  const settings = { ...flags, kv: `${folder}/states.sqlite3` };
  const { app, ready } = startWorker(settings, { log, hostname, env: (name) => env[name] });
  const running = await ready;
  const fetch: HttpServerOptions["fetch"] = (request, info) => app.fetch(request, info);
  const server = new HttpServer({ hostname, port: 0, fetch, log });
  return {
    ...running,
    url: `http://${hostname}:${server.port}`,
    /** Resolves when no turn is running or waiting, or after ten seconds. */
    idle: async (): Promise<void> => {
      for (let tries = 0; tries < 100; tries++) {
        const { running: turns, waiting } = running.schedulerStats();
        if (turns + waiting === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    /** Exits the process, which the engine's Worker would otherwise keep alive. */
    exit: async (code: number): Promise<never> => {
      await server.shutdown();
      await running.close(0);
      await Deno.remove(folder, { recursive: true });
      Deno.exit(code);
    },
  };
}

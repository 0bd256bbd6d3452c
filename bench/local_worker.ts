/** A whole worker in this process, its engine in a Worker, on a port of the loopback address. */

import { startWorker } from "../src/cli/start_worker.ts";
import type { Flags } from "../src/cli/command.ts";
import { createLogger } from "../src/core/log.ts";

/** Serves `flags`' model; states go to a file that is removed at the end. */
export async function localWorker(flags: Flags) {
  const folder = await Deno.makeTempDir();
  const log = createLogger({ write: () => {}, format: "text", now: () => new Date() });
  const { app, ready } = startWorker({ ...flags, kv: `${folder}/states.sqlite3` }, { log });
  const running = await ready;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, app.fetch);
  return {
    ...running,
    url: `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}`,
    /** Resolves when no turn runs or waits, or after ten seconds. */
    idle: async (): Promise<void> => {
      for (let tries = 0; tries < 100; tries++) {
        const { running: turns, waiting } = running.numbers();
        if (turns + waiting === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    /** Ends the process, which the engine's Worker would keep alive. */
    exit: async (code: number): Promise<never> => {
      await server.shutdown();
      await running.close(0);
      await Deno.remove(folder, { recursive: true });
      Deno.exit(code);
    },
  };
}

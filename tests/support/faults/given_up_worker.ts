/** `serve` on the CPU; after SIGUSR1 its engine fails and cannot be restarted. */

import { openEngineWorker } from "../../../src/server/open_engine.ts";
import { parseFlags } from "../../../src/settings/parse_flags.ts";
import { serveWorker } from "../../../src/server/serve.ts";
import { SERVE_FLAGS } from "../../../src/settings/settings.ts";
import { InferenceError } from "../../../src/core/errors.ts";

const lost = Promise.withResolvers<InferenceError>();
Deno.addSignalListener("SIGUSR1", () => {
  lost.resolve(new InferenceError("device_lost", "The GPU was lost"));
});
const { flags } = parseFlags(
  { name: "serve", flags: SERVE_FLAGS },
  Deno.args.slice(1),
  (name) => Deno.env.get(name),
);
try {
  await serveWorker(flags, {
    openEngine: async (options, callbacks) => {
      const state = await Promise.race([lost.promise, null]);
      if (state !== null) {
        throw new InferenceError("file_error", "Cannot open the model: it was removed");
      }
      const engine = await openEngineWorker(options, callbacks);
      return Object.defineProperty(engine, "failed", { value: lost.promise });
    },
    engineLimits: { retryDelay: 1 },
    failureLingerMs: Number(Deno.env.get("RWKV_TEST_FAILED_MS")),
  });
  Deno.exit(0);
} catch (error) {
  console.error(String(error));
  Deno.exit(1);
}

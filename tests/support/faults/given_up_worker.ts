/** `serve` on the CPU, whose engine SIGUSR1 takes away for good: none is opened in its place. */

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
    openEngine: async (options, told) => {
      const state = await Promise.race([lost.promise, null]);
      if (state !== null) throw new InferenceError("file_error", "There is no model any more");
      const engine = await openEngineWorker(options, told);
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

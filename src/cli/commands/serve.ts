/** `serve`: runs the worker. */

import { KEY_HELP } from "../../server/open_access.ts";
import { serveWorker } from "../../server/serve.ts";
import { SERVE_FLAGS } from "../../settings/settings.ts";
import type { Command } from "../args/command.ts";
import { greeting } from "../output/greeting.ts";
import { progressBar, withProgress } from "../output/progress.ts";
import { painter } from "../output/terminal.ts";

export const serve: Command = {
  name: "serve",
  summary: "Serves chat over HTTP and stores conversations by state id",
  details: KEY_HELP,
  examples: [
    "serve",
    "serve --model RWKV-5-World-1B5.pth --vocab rwkv_vocab_v20230424.txt --port 9000",
    "serve --model 0.4b --pull",
    "serve --kv http://denokv:4512   # with DENO_KV_ACCESS_TOKEN set",
    "serve --host 0.0.0.0 --keys keys.txt   # for other machines, with keys",
  ],
  flags: SERVE_FLAGS,
  run: async (flags) => {
    const bar = progressBar("Loading");
    await serveWorker(flags, {
      onProgress: bar.update,
      onLoaded: bar.end,
      withProgress,
      onReady: !Deno.stderr.isTerminal() ? undefined : ({ modelId, engine: { info }, kv }, url) => {
        console.error(greeting({ url, modelId, flags, engine: info, kv }, painter(Deno.stderr)));
      },
    });
  },
};

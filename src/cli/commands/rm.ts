/** `rm`: removes pulled models and incomplete downloads. */

import { InferenceError } from "../../core/errors.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { ModelCache } from "../../model_files/model_cache.ts";
import { nearest } from "../../core/nearest.ts";
import { formatBytes } from "../../core/units.ts";
import { printJson } from "../output/print.ts";
import { usageError } from "../../settings/flags.ts";

export const rm: Command = {
  name: "rm",
  summary: "Removes pulled models from this machine",
  positional: "NAME...",
  examples: ["rm 0.4b", "rm RWKV-5-World-0.4B-v2-20231113-ctx4096-int8"],
  flags: JSON_FLAG,
  run: async (flags, positionals) => {
    if (positionals.length === 0) {
      throw usageError("Cannot remove: name a model; `deno task rwkv models` lists them");
    }
    const cache = new ModelCache();
    const removed = [];
    for (const requested of positionals) {
      const all = await cache.list();
      // An incomplete download can be removed by its full name.
      const model = all.find(({ name }) => name === requested) ?? await cache.find(requested);
      if (!model) {
        const known = all.flatMap(({ name, record }) => [name, ...record?.names ?? []]);
        const guess = nearest(requested, known);
        throw new InferenceError(
          "file_error",
          `Cannot remove ${requested}: there is no pulled model of that name` +
            (guess ? `; did you mean ${guess}?` : "; `deno task rwkv models` lists them"),
          { param: requested },
        );
      }
      const { name, bytes } = model;
      const onWait = () => {
        throw new InferenceError("file_error", `Cannot remove ${name}: it is being pulled`);
      };
      await cache.withLock(name, () => cache.remove(name), { onWait });
      console.error(`Removed ${name}: ${formatBytes(bytes)}`);
      removed.push({ name, bytes });
    }
    if (flags.json) await printJson(removed);
  },
};

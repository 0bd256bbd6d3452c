/** The flags that open a model, as `parseArgs` takes them. */

import { MODEL_FLAGS } from "../src/cli/command.ts";

/** Without their defaults, which are words for people and not values. */
export const MODEL_OPTIONS = Object.fromEntries(
  Object.entries(MODEL_FLAGS).map(([name, { type }]) => [name, { type }]),
) as { [Name in keyof typeof MODEL_FLAGS]: { type: "string" } };

/** Gathers the last sampled token of each slot that continues decoding. */

import source from "./gather_last_token.wgsl" with { type: "text" };
import { slotConstants } from "./slot_layout.ts";
import type { KernelSpec } from "./spec.ts";

/**
 * Shapes: slots `u32[slots, SLOT_WORDS]`; rows `u32[tokens, 4]`; runs `u32[runs, 4]`. Writes the id
 * and the count of the first `gathered` runs.
 */
export const gatherLastToken: KernelSpec<null> = {
  name: "gather_last_token",
  source: () => source,
  bindings: () => ({ slots: "read", rows: "readWrite", runs: "readWrite" }),
  constants: slotConstants,
  grid: (_, { gathered }) => [gathered, 1, 1],
};

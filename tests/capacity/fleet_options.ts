/** A small simulated fleet with round step times. */

import type { FleetOptions } from "../../capacity/fleet.ts";
import type { SpeedProfile } from "../../capacity/speed_profile.ts";

/** A profile without overheads, so that queueing formulas apply exactly. */
export const PLAIN: SpeedProfile = {
  name: "plain",
  decode: [{ batch: 1, ms: 10 }, { batch: 32, ms: 41 }],
  read: { step: 10, token: 1 },
  readBack: 0,
  writeState: 0,
  stateBytes: 100_000,
  omitted: false,
};

export function fleet(
  { worker = {}, load = {}, ...options }:
    & Partial<Omit<FleetOptions, "worker" | "load">>
    & { worker?: Partial<FleetOptions["worker"]>; load?: Partial<FleetOptions["load"]> } = {},
): FleetOptions {
  return {
    workers: 2,
    balancer: "round-robin",
    cores: Infinity,
    seed: 1,
    warmup: 20,
    seconds: 200,
    ...options,
    worker: {
      profile: PLAIN,
      slots: 8,
      queue: 64,
      cacheBytes: 1e6,
      stateBytes: 50_000,
      kv: { load: 2, save: 4 },
      request: 1,
      timeoutMs: 600_000,
      maxTokens: 512,
      ...worker,
    },
    load: {
      arrivals: { perSecond: 6 },
      turns: 4,
      think: 5,
      prompt: (random) => 10 + 90 * random,
      reply: (random) => 1 + 99 * random,
      ...load,
    },
  };
}

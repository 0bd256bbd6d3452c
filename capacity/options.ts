/** Flags of a simulation. */

import { DEFAULT_ENGINE_SIZES } from "../src/server/open_engine.ts";
import { parseDistribution } from "./distribution.ts";
import { BALANCERS, type FleetOptions } from "./fleet.ts";
import type { Load } from "./load.ts";
import type { SpeedProfile } from "./speed_profile.ts";
import {
  choiceFlag,
  type Flags,
  numberFlag,
  stringFlag,
  usageError,
} from "../src/settings/flags.ts";
import { SETTINGS } from "../src/settings/settings.ts";

/** What the flags are when they are not given; the worker's own are its defaults. */
export const DEFAULTS = {
  slots: String(DEFAULT_ENGINE_SIZES.slots),
  queue: String(SETTINGS.queue.defaultValue),
  "turn-seconds": String(SETTINGS["turn-seconds"].defaultValue),
  "state-cache": String(SETTINGS["state-cache"].defaultValue),
  balancer: "round-robin",
  arrivals: "1",
  turns: "5",
  think: "30",
  prompt: "exp:200",
  reply: "exp:200",
  "max-tokens": "512",
  "kv-load": "2",
  "kv-save": "4",
  request: "2",
  warmup: "60",
  seconds: "300",
  seed: "1",
};

export const OPTION_FLAGS = {
  ...Object.fromEntries(
    Object.keys(DEFAULTS).map((name) => [name, { type: "string" as const }]),
  ),
  conversations: { type: "string" as const },
  "state-bytes": { type: "string" as const },
  "shared-cores": { type: "string" as const },
};

/**
 * Everything but the number of workers.
 *
 * @throws InferenceError `usage`
 */
export function parseOptions(
  given: Flags,
  profile: SpeedProfile,
): Omit<FleetOptions, "workers"> {
  const flags = { ...DEFAULTS, ...given };
  const get = (name: string, min: number, max: number) => numberFlag(flags, name, { min, max })!;
  const count = (name: string, min: number, max: number) =>
    numberFlag(flags, name, { min, max, integer: true })!;
  return {
    balancer: choiceFlag(flags, "balancer", { choices: BALANCERS, fallback: "round-robin" }),
    worker: {
      profile,
      slots: count("slots", 1, 1024),
      queue: count("queue", 1, 1e6),
      cacheBytes: 2 ** 20 * get("state-cache", 0, 1e6),
      // As the default codec stores them, half of float32.
      stateBytes: numberFlag(flags, "state-bytes", { min: 1, max: 1e9, integer: true }) ??
        Math.ceil(profile.stateBytes / 2),
      kv: { load: get("kv-load", 0, 1e6), save: get("kv-save", 0, 1e6) },
      request: get("request", 0, 1e6),
      timeoutMs: 1000 * get("turn-seconds", 1, 1e6),
      maxTokens: count("max-tokens", 1, 1e6),
    },
    cores: numberFlag(flags, "shared-cores", { min: 0.01, max: 1e6 }) ?? Infinity,
    load: parseLoad(given, flags),
    seed: count("seed", 0, 2 ** 32 - 1),
    warmup: get("warmup", 0, 1e6),
    seconds: get("seconds", 1, 1e6),
  };
}

function parseLoad(given: Flags, flags: Flags): Load {
  const conversations = numberFlag(given, "conversations", { min: 1, max: 1e7, integer: true });
  if (conversations !== undefined && stringFlag(given, "arrivals") !== undefined) {
    throw usageError("Cannot use --arrivals beside --conversations: each is a load of its own");
  }
  return {
    arrivals: conversations === undefined
      ? { perSecond: numberFlag(flags, "arrivals", { min: 1e-6, max: 1e5 })! }
      : { conversations },
    turns: numberFlag(flags, "turns", { min: 1, max: 1e6 })!,
    think: numberFlag(flags, "think", { min: 0, max: 1e7 })!,
    prompt: parseDistribution("prompt", stringFlag(flags, "prompt")!),
    reply: parseDistribution("reply", stringFlag(flags, "reply")!),
  };
}

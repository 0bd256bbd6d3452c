/** Lists all fuzzing targets: everything that parses external input, except HTTP requests. */

import type { Target } from "./target.ts";
import { checkpointTargets } from "./targets/checkpoint_targets.ts";
import { clientTargets } from "./targets/client_targets.ts";
import { FAULTY_TARGETS } from "./targets/faulty_targets.ts";
import { grammarTargets } from "./targets/grammar_targets.ts";
import { hubTargets } from "./targets/hub_targets.ts";
import { stateTargets } from "./targets/state_targets.ts";
import { textTargets } from "./targets/text_targets.ts";

let cached: Promise<readonly Target[]> | undefined;

/** Returns all targets; their files are created on first use. */
export function targets(): Promise<readonly Target[]> {
  return cached ??= createTargets();
}

async function createTargets(): Promise<readonly Target[]> {
  return [
    ...await checkpointTargets(),
    ...textTargets(),
    ...await stateTargets(),
    ...grammarTargets(),
    ...hubTargets(),
    ...clientTargets(),
  ];
}

/** Returns a target by name; throws an error that lists all names if it is unknown. */
export async function targetNamed(name: string): Promise<Target> {
  const all = await targets();
  const found = [...all, ...FAULTY_TARGETS].find((target) => target.name === name);
  if (found) return found;
  throw new Error(
    `Unknown parser ${name}; use one of ${all.map(({ name }) => name).join(", ")}`,
  );
}

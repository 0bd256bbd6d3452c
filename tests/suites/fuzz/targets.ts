/** Everything that reads what comes from outside, but for HTTP requests. */

import type { Target } from "./target.ts";
import { checkpointTargets } from "./targets/checkpoint_targets.ts";
import { clientTargets } from "./targets/client_targets.ts";
import { FAULTY_TARGETS } from "./targets/faulty_targets.ts";
import { grammarTargets } from "./targets/grammar_targets.ts";
import { hubTargets } from "./targets/hub_targets.ts";
import { stateTargets } from "./targets/state_targets.ts";
import { textTargets } from "./targets/text_targets.ts";

let made: Promise<readonly Target[]> | undefined;

/** All targets; their files are made when they are first asked for. */
export function targets(): Promise<readonly Target[]> {
  return made ??= make();
}

async function make(): Promise<readonly Target[]> {
  return [
    ...await checkpointTargets(),
    ...textTargets(),
    ...await stateTargets(),
    ...grammarTargets(),
    ...hubTargets(),
    ...clientTargets(),
  ];
}

/** The target of a name; a plain error that lists all where there is none. */
export async function targetNamed(name: string): Promise<Target> {
  const all = await targets();
  const found = [...all, ...FAULTY_TARGETS].find((target) => target.name === name);
  if (found) return found;
  throw new Error(
    `there is no parser ${name}; there are ${all.map(({ name }) => name).join(", ")}`,
  );
}

/** Tells a device that computes no numbers from a state that has got out of hand. */

import { InferenceError } from "../../core/errors.ts";
import type { GenerateResult, GenerateRun, SamplingEngine } from "../engine.ts";

/** Tokens that are read for it at most. */
const TOKENS = 16;

/**
 * Reads what a turn has read, but from the empty state, in the slot of a turn that has ended since
 * its logits were not finite.
 *
 * @throws InferenceError `device_lost` where logits are not finite here either: then it is not the
 * turn's state that is at fault.
 */
export async function assertDeviceHealthy(
  engine: SamplingEngine,
  { slot, tokens: fed }: GenerateRun,
  { tokens: sampled }: GenerateResult,
): Promise<void> {
  const tokens = [...fed, ...sampled].slice(-Math.min(TOKENS, engine.info.maxStepTokens));
  const emptied = engine.writeState(slot, null);
  const stepped = engine.step([{ slot, tokens: tokens.length > 0 ? tokens : [0], logits: "last" }]);
  const [, [logits]] = await Promise.all([emptied, stepped]);
  if (logits.every(Number.isFinite)) return;
  throw new InferenceError(
    "device_lost",
    "The GPU gives no numbers: logits are not finite, whatever state they are computed from",
    { fault: "numeric" },
  );
}

/** Distinguishes a faulty device from a diverged state after logits were not finite. */

import { InferenceError } from "../../core/errors.ts";
import type { GenerateResult, GenerateRun, SamplingEngine } from "../engine.ts";

/** Maximum tokens processed for the check. */
const MAX_TOKENS = 16;

/**
 * Processes a turn's tokens again from the initial state, in the slot of a turn that ended because
 * its logits were not finite.
 *
 * @throws InferenceError `device_lost` if these logits are not finite either, so that the device
 * and not the turn's state is at fault.
 */
export async function assertDeviceHealthy(
  engine: SamplingEngine,
  { slot, tokens: inputs }: GenerateRun,
  { tokens: sampled }: GenerateResult,
): Promise<void> {
  const tokens = [...inputs, ...sampled].slice(-Math.min(MAX_TOKENS, engine.info.maxStepTokens));
  const cleared = engine.writeState(slot, null);
  const stepped = engine.step([{ slot, tokens: tokens.length > 0 ? tokens : [0], logits: "last" }]);
  const [, [logits]] = await Promise.all([cleared, stepped]);
  if (logits.every(Number.isFinite)) return;
  throw new InferenceError(
    "device_lost",
    "The GPU computes invalid results: logits are not finite even from the initial state",
    { fault: "numeric" },
  );
}

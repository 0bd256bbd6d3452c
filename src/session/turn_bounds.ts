/** What turns are held to before they run, and how they are charged to whoever asks. */

import { InferenceError } from "../core/errors.ts";
import type { Telemetry } from "../core/telemetry.ts";
import type { Generation } from "../scheduler/scheduler_types.ts";
import { describeModel } from "./model_description.ts";
import type { SessionModel, TurnRequest } from "./session_types.ts";
import type { TurnMeter } from "./turn_meter.ts";
import type { SessionLimits } from "./turn_work.ts";

/**
 * @param tokens All that the model is to read for the request.
 * @throws InferenceError `context_length_exceeded`, or `rate_limit_exceeded` by the turn's account
 */
export function assertFits(
  { account, messages, prompt }: TurnRequest,
  tokens: number,
  { limits, telemetry }: { limits: SessionLimits; telemetry: Telemetry },
): void {
  const most = account?.promptTokens(limits.promptTokens) ?? limits.promptTokens;
  // What is left of a prompt that fitted once is read without being sent again.
  const sent = messages.length > 0 || prompt !== undefined;
  if (sent && tokens > most) {
    telemetry.limitRefused("prompt_tokens");
    const param = prompt === undefined ? "messages" : "prompt";
    throw new InferenceError(
      "context_length_exceeded",
      `${param}: the prompt has ${tokens} tokens, one request may have at most ${most}; send it ` +
        "in parts, resuming with state_id",
      { param, limit: "prompt_tokens" },
    );
  }
  account?.assertReadable(tokens);
}

/**
 * Holds room for what turns are going to store; what is returned lets go of it.
 *
 * @throws InferenceError `storage_limit_exceeded` by the turns' account
 */
export async function holdRoom(
  { account, keep = true }: TurnRequest,
  choices: number,
  model: SessionModel,
): Promise<() => void> {
  if (account === undefined || !keep) return () => {};
  return await account.holdRoom(choices, choices * describeModel(model).storedBytes);
}

/**
 * Charges turns for the prompt that they have in common, and for what they write; what of the prompt
 * is not read after all, since they were left, is given back.
 */
export function chargeTurns(
  { account }: TurnRequest,
  turns: readonly { plan: { pending: readonly number[] }; meter: TurnMeter }[],
  [reader]: readonly Generation[],
): void {
  const charge = account?.charge(turns[0].plan.pending.length);
  if (charge === undefined) return;
  for (const { meter } of turns) meter.charged(charge);
  reader.finished.then(({ sampled, pending }) => {
    if (sampled === 0) charge.unread(pending.length);
  }, () => {}); // what an engine that fails has read is not known
}

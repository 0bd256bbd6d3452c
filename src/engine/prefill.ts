/** Processes a sequence of any length in one slot, in chunks. */

import type { Engine, LogitsSelection } from "./engine.ts";

/**
 * Processes `tokens` in `slot`, `chunk` tokens per step. Returns the requested logits,
 * `[rows, vocabulary]` flattened.
 */
export async function prefill(
  engine: Engine,
  tokens: readonly number[],
  { slot, logits, chunk = engine.info.maxStepTokens }: {
    slot: number;
    logits: LogitsSelection;
    chunk?: number;
  },
): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (let from = 0; from < tokens.length; from += chunk) {
    const last = from + chunk >= tokens.length;
    const [part] = await engine.step([{
      slot,
      tokens: tokens.slice(from, from + chunk),
      logits: logits === "last" && !last ? "none" : logits,
    }]);
    parts.push(part);
  }
  const joined = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

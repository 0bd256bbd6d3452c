/** Timing and token counts of a reply. */

import type { Usage } from "../../session/session_types.ts";

export interface ReplyStats {
  /** `null` if the reply was stopped before usage was reported. */
  usage: Usage | null;
  /** Milliseconds until the first text, or `null` if there was none. */
  timeToFirstTextMs: number | null;
  /** Milliseconds from the first text to the last. */
  generationMs: number | null;
}

export function formatStats(
  { usage, timeToFirstTextMs, generationMs }: ReplyStats,
): string {
  const first = timeToFirstTextMs === null
    ? "no text"
    : `first text after ${Math.round(timeToFirstTextMs)} ms`;
  if (usage === null) return `reply    stopped, ${first}`;
  const { completion_tokens: written, total_tokens, prompt_tokens_details: { cached_tokens } } =
    usage;
  const rate = generationMs
    ? `, ${Number(((written - 1) / generationMs * 1000).toPrecision(3))} tokens/s`
    : "";
  return [
    `reply    ${written} tokens${rate}, ${first}`,
    `context  ${total_tokens} tokens, ${cached_tokens} of them cached`,
  ].join("\n");
}

/** How fast a reply came, and what the model knows after it. */

import type { Usage } from "../../session/session_types.ts";

export interface ReplyStats {
  /** `null` where a reply was stopped and nobody has counted. */
  usage: Usage | null;
  /** Until its first text; `null` where there was none. */
  timeToFirstTextMs: number | null;
  /** From its first text to its last. */
  generationMs: number | null;
}

export function formatStats(
  { usage, timeToFirstTextMs: firstMs, generationMs: writeMs }: ReplyStats,
): string {
  const first = firstMs === null ? "no text came" : `the first after ${Math.round(firstMs)} ms`;
  if (usage === null) return `reply    stopped, ${first}`;
  const { completion_tokens: written, total_tokens, prompt_tokens_details: { cached_tokens } } =
    usage;
  const rate = writeMs
    ? `, ${Number(((written - 1) / writeMs * 1000).toPrecision(3))} a second`
    : "";
  return [
    `reply    ${written} tokens${rate}, ${first}`,
    `context  ${total_tokens} tokens, ${cached_tokens} of them cached, that is, not read again`,
  ].join("\n");
}

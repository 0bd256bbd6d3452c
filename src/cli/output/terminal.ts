/** Terminal output: colours where supported, and text without control sequences. */

import { styleText } from "node:util";

export type Style = "bold" | "dim" | "red" | "yellow" | "cyan";

/** Formats text in a style, or returns it unchanged. */
export type Paint = (style: Style, text: string) => string;

export const PLAIN_PAINT: Paint = (_, text) => text;

/**
 * Returns colours for a stream. Plain text unless it is a terminal with colours, and with
 * `NO_COLOR`.
 */
export function painter(stream: { isTerminal(): boolean }): Paint {
  if (!stream.isTerminal() || Deno.noColor || Deno.env.get("TERM") === "dumb") return PLAIN_PAINT;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** Removes control characters from a model's text, which could move the cursor or set colours. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- removes control characters
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
}

/** What a terminal may be shown: colours where it has them, and text that cannot command it. */

import { styleText } from "node:util";

export type Style = "bold" | "dim" | "red" | "yellow" | "cyan";

/** Text in a style, or as it is. */
export type Paint = (style: Style, text: string) => string;

export const PLAIN_PAINT: Paint = (_, text) => text;

/** Colours for a stream: on a terminal that has them only, and never with `NO_COLOR`. */
export function painter(stream: { isTerminal(): boolean }): Paint {
  if (!stream.isTerminal() || Deno.noColor || Deno.env.get("TERM") === "dumb") return PLAIN_PAINT;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** A model's text for a terminal, without what would move its cursor or set its colours. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what it is about
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
}

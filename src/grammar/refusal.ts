/** Why a constraint can't be held: told to whoever asked for it, with the field it came in. */

export class GrammarError extends Error {
  override readonly name = "Refusal";
}

/** Text as a message shows it. */
export function quoted(text: string): string {
  return JSON.stringify(shortened(text));
}

/** A value as a message shows it. */
export function abbreviated(value: unknown): string {
  return shortened(JSON.stringify(value));
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

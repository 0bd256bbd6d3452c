/** The error of an unsupported or malformed constraint, and how messages quote its parts. */

/** A constraint that cannot be compiled. The caller adds the request field to the message. */
export class GrammarError extends Error {
  override readonly name = "GrammarError";
}

/** Quotes a text for a message and shortens it. */
export function quoted(text: string): string {
  return JSON.stringify(shortened(text));
}

/** Formats a value as JSON for a message and shortens it. */
export function abbreviated(value: unknown): string {
  return shortened(JSON.stringify(value));
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

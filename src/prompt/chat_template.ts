/**
 * The chat template of the World models: paragraphs `Speaker: text`, separated by an empty line. A
 * rendered message contains no empty line, so its text cannot forge another turn.
 */

/** Author of a message; `developer` is an alias of `system`. */
export type Role = "system" | "developer" | "user" | "assistant";

/** A part of a message. */
export interface TextPart {
  /** Only text parts are supported. */
  type: "text";
  /** The text of the part. */
  text: string;
}

/** A message as a client sends it. */
export interface Message {
  /** Author of the message. */
  role: Role;
  /** A text, or parts that are joined by newlines. */
  content: string | readonly TextPart[];
}

/** A message as a conversation stores it. */
export interface TranscriptEntry {
  /** Author of the message. */
  role: Role;
  /** The text of the message. */
  content: string;
}

/** Ends every turn. */
export const TURN_END = "\n\n";

const SPEAKER: Record<Role, string> = {
  system: "System",
  developer: "System",
  user: "User",
  assistant: "Assistant",
};

/** Returns the text of a message, with its parts joined by newlines. */
export function messageText({ content }: Message): string {
  return typeof content === "string" ? content : content.map((part) => part.text).join("\n");
}

const [TAB, NEWLINE, RETURN, SPACE] = [9, 10, 13, 32];

/** Number of code units per `String.fromCharCode` call, where each is an argument. */
const CHUNK_UNITS = 8192;

/** Removes everything that could end a paragraph: `\r`, empty lines and surrounding whitespace. */
export function cleanText(text: string): string {
  if (!text.includes("\n") && !text.includes("\r")) return text.trim();
  // Works on code units: a string for each of millions of lines would be slow.
  const buffer = new Uint16Array(text.length + 1);
  let [length, line, blank] = [0, 0, true];
  for (let at = 0; at <= text.length; at++) {
    const code = at < text.length ? text.charCodeAt(at) : NEWLINE;
    if (code !== NEWLINE && code !== RETURN) {
      buffer[length++] = code;
      blank &&= code === SPACE || code === TAB;
      continue;
    }
    if (blank) length = line;
    else buffer[length++] = NEWLINE;
    line = length;
    blank = true;
    if (code === RETURN && text.charCodeAt(at + 1) === NEWLINE) at++;
  }
  let clean = "";
  for (let at = 0; at < length; at += CHUNK_UNITS) {
    const units = buffer.subarray(at, Math.min(at + CHUNK_UNITS, length));
    clean += Reflect.apply(String.fromCharCode, null, units);
  }
  return clean.trim();
}

/**
 * Returns the text with which a reply starts, for the model to continue. Removes empty lines, which
 * would end the reply, but preserves trailing spaces or one trailing newline.
 */
export function replyOpening(message: Message): string {
  const text = messageText(message);
  const clean = cleanText(text);
  if (clean === "") return "";
  const end = text.slice(text.trimEnd().length);
  return clean + (/[\r\n]/.test(end) ? "\n" : end);
}

/** Renders a message as a paragraph that ends with `TURN_END`. */
export function renderMessage(message: Message): string {
  const text = cleanText(messageText(message));
  const speaker = `${SPEAKER[message.role]}:`;
  return (text === "" ? speaker : `${speaker} ${text}`) + TURN_END;
}

/** Start of a reply, without the space after it, which the model generates. */
export const REPLY_START = `${SPEAKER.assistant}:`;

export function isSystem({ role }: Pick<Message, "role">): boolean {
  return SPEAKER[role] === SPEAKER.system;
}

/** Returns a form that is equal for all messages that look the same to the model. */
export function canonicalMessage(message: Message): { role: string; content: string } {
  return { role: SPEAKER[message.role], content: cleanText(messageText(message)) };
}

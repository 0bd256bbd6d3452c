/**
 * Messages as the text that World models were trained on: paragraphs `Speaker: text`, apart by an
 * empty line. A message never contains an empty line itself, so nobody can forge a turn.
 */

/** Who speaks; `developer` is the same as `system`. */
export type Role = "system" | "developer" | "user" | "assistant";

/** A part of a message. */
export interface TextPart {
  /** Only text is read. */
  type: "text";
  /** What it says. */
  text: string;
}

/** A message as a client sends it. */
export interface Message {
  /** Who speaks. */
  role: Role;
  /** A text, or its parts, a line each. */
  content: string | readonly TextPart[];
}

/** A message as a conversation keeps it. */
export interface TranscriptEntry {
  /** Who spoke. */
  role: Role;
  /** What was said. */
  content: string;
}

/** What ends every turn. */
export const TURN_END = "\n\n";

const SPEAKER: Record<Role, string> = {
  system: "System",
  developer: "System",
  user: "User",
  assistant: "Assistant",
};

/** The text of a message, its parts a line each. */
export function messageText({ content }: Message): string {
  return typeof content === "string" ? content : content.map((part) => part.text).join("\n");
}

const [TAB, NEWLINE, RETURN, SPACE] = [9, 10, 13, 32];

/** Code units that are made a string at once: they are arguments of a call. */
const AT_ONCE = 8192;

/** Text without anything that could end its paragraph: `\r`, empty lines, blank ends. */
export function cleanText(text: string): string {
  if (!text.includes("\n") && !text.includes("\r")) return text.trim();
  // By code units: there may be millions of lines, and a string for each takes long.
  const kept = new Uint16Array(text.length + 1);
  let [length, line, blank] = [0, 0, true];
  for (let at = 0; at <= text.length; at++) {
    const code = at < text.length ? text.charCodeAt(at) : NEWLINE;
    if (code !== NEWLINE && code !== RETURN) {
      kept[length++] = code;
      blank &&= code === SPACE || code === TAB;
      continue;
    }
    if (blank) length = line;
    else kept[length++] = NEWLINE;
    line = length;
    blank = true;
    if (code === RETURN && text.charCodeAt(at + 1) === NEWLINE) at++;
  }
  let clean = "";
  for (let at = 0; at < length; at += AT_ONCE) {
    const units = kept.subarray(at, Math.min(at + AT_ONCE, length));
    clean += Reflect.apply(String.fromCharCode, null, units);
  }
  return clean.trim();
}

/**
 * A message that a reply begins with, for the model to continue: without empty lines, which would
 * end it, but with the spaces or the one newline that it ends with.
 */
export function replyOpening(message: Message): string {
  const text = messageText(message);
  const clean = cleanText(text);
  if (clean === "") return "";
  const end = text.slice(text.trimEnd().length);
  return clean + (/[\r\n]/.test(end) ? "\n" : end);
}

/** A message's paragraph, and what ends it. */
export function renderMessage(message: Message): string {
  const text = cleanText(messageText(message));
  const speaker = `${SPEAKER[message.role]}:`;
  return (text === "" ? speaker : `${speaker} ${text}`) + TURN_END;
}

/** What a reply begins after: without a space, which is the model's to write. */
export const REPLY_START = `${SPEAKER.assistant}:`;

export function isSystem({ role }: Pick<Message, "role">): boolean {
  return SPEAKER[role] === SPEAKER.system;
}

/** The same for messages that are the same to the model. */
export function canonicalMessage(message: Message): { role: string; content: string } {
  return { role: SPEAKER[message.role], content: cleanText(messageText(message)) };
}

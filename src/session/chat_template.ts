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

/** Text without anything that could end its paragraph: `\r`, empty lines, blank ends. */
export function cleanText(text: string): string {
  // Line by line: an expression that goes over many at once has no room for millions of them.
  const lines = text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").split("\n");
  return lines.filter((line) => !isBlank(line)).join("\n").trim();
}

function isBlank(line: string): boolean {
  for (let at = 0; at < line.length; at++) {
    if (line[at] !== " " && line[at] !== "\t") return false;
  }
  return true;
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
export function canonical(message: Message): { role: string; content: string } {
  return { role: SPEAKER[message.role], content: cleanText(messageText(message)) };
}

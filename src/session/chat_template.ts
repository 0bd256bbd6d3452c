/**
 * Messages as the text that World models were trained on: paragraphs `Speaker: text`, apart by an
 * empty line. A message never contains an empty line itself, so nobody can forge a turn.
 */

export type Role = "system" | "developer" | "user" | "assistant";

export interface TextPart {
  type: "text";
  text: string;
}

/** A message as a client sends it. */
export interface Message {
  role: Role;
  content: string | readonly TextPart[];
}

/** A message as a conversation keeps it. */
export interface TranscriptEntry {
  role: Role;
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
  return text.replace(/\r\n?/g, "\n").replace(/\n(?:[ \t]*\n)+/g, "\n").trim();
}

/** The prompt for a reply to `messages`: ends with `Assistant:`, without a space. */
export function renderPrompt(messages: readonly Message[]): string {
  const paragraphs = messages.map((message) => {
    const text = cleanText(messageText(message));
    return text === "" ? `${SPEAKER[message.role]}:` : `${SPEAKER[message.role]}: ${text}`;
  });
  return [...paragraphs, `${SPEAKER.assistant}:`].join(TURN_END);
}

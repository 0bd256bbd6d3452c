// Converts between a transcript and turns. A turn is the messages to the model and its reply.

/**
 * @typedef {{ role: string, content: string }} Message
 * @typedef {{ inputs: Message[], reply: string | null }} Turn `reply`: null before its first text.
 */

/**
 * @param {readonly Message[]} transcript
 * @returns {Turn[]}
 */
export function turnsFromTranscript(transcript) {
  /** @type {Turn[]} */
  const turns = [];
  /** @type {Message[]} */
  let inputs = [];
  for (const message of transcript) {
    if (message.role !== "assistant") {
      inputs.push(message);
      continue;
    }
    turns.push({ inputs, reply: message.content });
    inputs = [];
  }
  if (inputs.length > 0) turns.push({ inputs, reply: null });
  return turns;
}

/**
 * @param {readonly Turn[]} turns
 * @returns {Message[]}
 */
export function messagesFromTurns(turns) {
  return turns.flatMap(({ inputs, reply }) => [
    ...inputs,
    ...(reply === null ? [] : [{ role: "assistant", content: reply }]),
  ]);
}

/**
 * Returns the text of a turn's user messages.
 * @param {Pick<Turn, "inputs">} turn
 */
export function questionOf({ inputs }) {
  return inputs.filter(({ role }) => role === "user").map(({ content }) => content).join("\n");
}

/**
 * Returns a turn's inputs with its user messages replaced.
 * @param {Turn} turn
 * @param {string} question
 * @returns {Message[]}
 */
export function inputsWithQuestion({ inputs }, question) {
  const others = inputs.filter(({ role }) => role !== "user");
  return [...others, { role: "user", content: question }];
}

/** The longest title, in characters. */
const TITLE_LENGTH = 60;

/**
 * Returns a title for the list of conversations: the user's first message.
 * @param {readonly Turn[]} turns
 */
export function titleOf(turns) {
  const text = turns.map(questionOf).find((question) => question !== "") ?? "Empty conversation";
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH)}…` : line;
}

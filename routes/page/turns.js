// A transcript as turns: what was said to the model, and what it replied.

/**
 * @typedef {{ role: string, content: string }} Entry
 * @typedef {{ asks: Entry[], reply: string | null }} Turn `reply`: null before it has begun.
 */

/**
 * @param {readonly Entry[]} transcript
 * @returns {Turn[]}
 */
export function turnsOf(transcript) {
  /** @type {Turn[]} */
  const turns = [];
  /** @type {Entry[]} */
  let asks = [];
  for (const entry of transcript) {
    if (entry.role !== "assistant") {
      asks.push(entry);
      continue;
    }
    turns.push({ asks, reply: entry.content });
    asks = [];
  }
  if (asks.length > 0) turns.push({ asks, reply: null });
  return turns;
}

/**
 * The other way, as messages of a request.
 * @param {readonly Turn[]} turns
 * @returns {Entry[]}
 */
export function messagesOf(turns) {
  return turns.flatMap(({ asks, reply }) => [
    ...asks,
    ...(reply === null ? [] : [{ role: "assistant", content: reply }]),
  ]);
}

/**
 * What the user said in it.
 * @param {Turn} turn
 */
export function questionOf({ asks }) {
  return asks.filter(({ role }) => role === "user").map(({ content }) => content).join("\n");
}

/**
 * The same turn with another question, which stands where the last one stood.
 * @param {Turn} turn
 * @param {string} question
 * @returns {Entry[]}
 */
export function asksWith({ asks }, question) {
  const others = asks.filter(({ role }) => role !== "user");
  return [...others, { role: "user", content: question }];
}

/** Characters of a title. */
const TITLE_LENGTH = 60;

/**
 * A line for a list: the first thing that the user said.
 * @param {readonly Turn[]} turns
 */
export function titleOf(turns) {
  const text = turns.map(questionOf).find((question) => question !== "") ?? "No words yet";
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH)}…` : line;
}

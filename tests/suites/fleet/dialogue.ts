/**
 * The user messages of the fleet's clients. The conversations differ, and later messages ask for
 * earlier facts.
 */

const NAMES = ["Zorvin", "Ada", "Bilmo", "Wanda", "Krista", "Leon", "Ottoka", "Mirela", "Juna"];
const COLOURS = ["sirin", "chestnut", "green", "teal", "ivory", "purple", "amber"];
const ANIMALS = ["dragon", "tortoise", "cat", "horse", "parrot"];

/** Turns of a conversation. */
export const TURNS = 6;

/** Returns the user messages of conversation `i`, plus one that checks whether its end resumes. */
export function messages(i: number): string[] {
  const pick = (from: readonly string[]) => from[i % from.length];
  return [
    `Hi! My name is ${pick(NAMES)}.`,
    `My favourite colour is ${pick(COLOURS)}. My lucky number is ${i + 11}.`,
    `What is ${i % 7 + 1} + ${i % 3 + 2}?`,
    `Tell me a story about a ${pick(ANIMALS)}.`,
    "What is my name?",
    "What is my favourite colour?",
    "What number did I say?",
  ];
}

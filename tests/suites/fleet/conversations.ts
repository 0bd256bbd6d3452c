/** Many conversations at once, each turn of which is known by the turn before. */

import { mapConcurrent } from "../../../src/store/states/map_concurrent.ts";
import { type Answer, persist, type Tally } from "./client.ts";
import { messages } from "./dialogue.ts";

/** A place in a conversation; turn 0 is the first. */
export interface Place {
  conversation: number;
  turn: number;
}

export interface Turn extends Place {
  /** What it resumed. */
  before: Turn | null;
  answer: Answer;
}

export interface Conversed {
  turns: Turn[];
  /** Ids of streams that broke, and where. */
  broken: (Place & { id: string })[];
  /** Times that an answer was lost or refused, and asked for again. */
  again: number;
  /** Why conversations broke off. */
  failures: string[];
}

export interface ConverseOptions {
  conversations: number;
  /** Of each conversation. */
  turns: number;
  /** Conversations under way at once. */
  clients: number;
  signal: AbortSignal;
  onTurn?: (() => void) | undefined;
}

/** Every other turn is streamed. */
export async function converseAll(
  url: string,
  { conversations, turns, clients, signal, onTurn }: ConverseOptions,
): Promise<Conversed> {
  const all: Conversed = { turns: [], broken: [], again: 0, failures: [] };
  const converse = async (conversation: number) => {
    let before: Turn | null = null;
    for (const [turn, message] of messages(conversation).slice(0, turns).entries()) {
      const stateId: string | null = before?.answer.stateId ?? null;
      const ask = { message, stateId, stream: (conversation + turn) % 2 === 0 };
      const tally: Tally = { again: 0, broken: [] };
      try {
        const answer = await persist(url, ask, { tally, signal });
        before = { conversation, turn, before, answer };
        all.turns.push(before);
        onTurn?.();
      } finally {
        all.again += tally.again;
        all.broken.push(...tally.broken.map((id) => ({ conversation, turn, id })));
      }
    }
  };
  await mapConcurrent(
    [...Array(conversations).keys()],
    clients,
    (i) =>
      converse(i).catch((error) => {
        signal.throwIfAborted();
        all.failures.push(`conversation ${i}: ${error instanceof Error ? error.message : error}`);
      }),
  );
  return all;
}

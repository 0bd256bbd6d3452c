/** Runs many conversations concurrently; each turn resumes the state of the one before. */

import { mapConcurrent } from "../../../src/store/states/map_concurrent.ts";
import { chatWithRetries, type Reply, type RetryStats } from "./client.ts";
import { messages } from "./dialogue.ts";

/** A position in a conversation; turn 0 is the first. */
export interface TurnPosition {
  conversation: number;
  turn: number;
}

export interface Turn extends TurnPosition {
  /** The turn that it resumed. */
  previous: Turn | null;
  reply: Reply;
}

export interface ConversationResults {
  turns: Turn[];
  /** State ids of broken streams, with their positions. */
  brokenStates: (TurnPosition & { id: string })[];
  /** Number of retries after lost or rejected requests. */
  retries: number;
  /** Reasons of conversations that failed. */
  failures: string[];
}

export interface ConverseOptions {
  conversations: number;
  /** Turns of each conversation. */
  turns: number;
  /** Number of concurrent conversations. */
  clients: number;
  signal: AbortSignal;
  onTurn?: (() => void) | undefined;
}

/** Runs all conversations. Every other turn is streamed. */
export async function runConversations(
  url: string,
  { conversations, turns, clients, signal, onTurn }: ConverseOptions,
): Promise<ConversationResults> {
  const results: ConversationResults = { turns: [], brokenStates: [], retries: 0, failures: [] };
  const runConversation = async (conversation: number) => {
    let previous: Turn | null = null;
    for (const [turn, message] of messages(conversation).slice(0, turns).entries()) {
      const stateId: string | null = previous?.reply.stateId ?? null;
      const request = { message, stateId, stream: (conversation + turn) % 2 === 0 };
      const stats: RetryStats = { retries: 0, brokenStates: [] };
      try {
        const reply = await chatWithRetries(url, request, { stats, signal });
        previous = { conversation, turn, previous, reply };
        results.turns.push(previous);
        onTurn?.();
      } finally {
        results.retries += stats.retries;
        results.brokenStates.push(...stats.brokenStates.map((id) => ({ conversation, turn, id })));
      }
    }
  };
  await mapConcurrent(
    [...Array(conversations).keys()],
    clients,
    (i) =>
      runConversation(i).catch((error) => {
        signal.throwIfAborted();
        results.failures.push(
          `conversation ${i}: ${error instanceof Error ? error.message : error}`,
        );
      }),
  );
  return results;
}

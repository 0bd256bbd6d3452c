/** The backend of a terminal chat: sessions in this process, or a remote worker. */

import type { Message, TranscriptEntry } from "../../prompt/chat_template.ts";
import type { TurnEnd, Usage } from "../../session/session_types.ts";
import type { SamplingParams } from "../../core/sampling.ts";
import type { RunningSessions } from "../../server/open_sessions.ts";

export interface ChatTurn {
  /** The new messages. Without any, a truncated reply is continued. */
  messages: readonly Message[];
  stateId: string | undefined;
  sampling: Omit<SamplingParams, "seed">;
  seed: bigint | undefined;
  maxTokens: number | undefined;
}

export interface ChatReply extends AsyncIterable<string> {
  /**
   * Id that resumes the conversation. Valid from the start of the reply, even if the reply fails.
   */
  readonly stateId: string | null;
  /** Set once the text has been read to its end. */
  readonly result: ReplyResult | undefined;
}

export type ReplyResult = Pick<TurnEnd, "stateId" | "finishReason"> & {
  warning?: string | undefined;
  /** `null` if the reply was stopped before usage was reported. */
  usage: Usage | null;
};

export interface ChatBackend {
  /** A description of the model for the user. */
  readonly description: string;
  /** The flags that select this backend on the command line. */
  readonly resumeFlags: readonly (readonly [flag: string, value: string])[];
  /** Starts a reply. Aborting `signal` ends it and stores its state so far. */
  startTurn(turn: ChatTurn, signal: AbortSignal): Promise<ChatReply>;
  /** Returns the latest messages. Throws if the state does not exist. */
  recentMessages(
    stateId: string,
    limit: number,
  ): Promise<{ messages: readonly TranscriptEntry[]; total: number }>;
  /** Returns a state as a file, in parts. */
  exportState(stateId: string): Promise<readonly Uint8Array[]>;
  /** Imports a state file and returns its id. */
  importState(file: Uint8Array<ArrayBuffer>): Promise<string>;
  close(): Promise<void>;
}

/** Creates a backend over sessions in this process. */
export function createLocalBackend(
  { sessions, close }: RunningSessions,
  { description, resumeFlags }: Pick<ChatBackend, "description" | "resumeFlags">,
): ChatBackend {
  return {
    description,
    resumeFlags,
    startTurn: async ({ seed, ...turn }, signal) => {
      const request = { ...turn, ...(seed === undefined ? {} : { seed }), stream: true };
      const { stateId, ...running } = await sessions.start(request, signal).then((turn) => ({
        stateId: turn.stateId,
        events: turn.events(),
      }));
      let result: ReplyResult | undefined;
      return {
        stateId,
        get result() {
          return result;
        },
        async *[Symbol.asyncIterator]() {
          for await (const event of running.events) {
            if (event.type === "text") yield event.text;
            else result = event;
          }
        },
      };
    },
    recentMessages: async (id, limit) => {
      const { transcript, messageCount } = await sessions.describe(id, { limit, order: "desc" });
      return { messages: transcript.toReversed(), total: messageCount };
    },
    exportState: async (id) => (await sessions.exportState(id)).parts,
    importState: async (file) => (await sessions.importState(chunked(file))).id,
    close: () => close(0),
  };
}

async function* chunked(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** With whom a terminal talks: a worker's sessions in this process, or a worker elsewhere. */

import type { Message, TranscriptEntry } from "../../prompt/chat_template.ts";
import type { TurnEnd, Usage } from "../../session/session_types.ts";
import type { SamplingParams } from "../../core/sampling.ts";
import type { RunningSessions } from "../../server/open_sessions.ts";

export interface ChatTurn {
  /** What is new; none lets a reply that was cut short go on. */
  messages: readonly Message[];
  stateId: string | undefined;
  sampling: Omit<SamplingParams, "seed">;
  seed: bigint | undefined;
  maxTokens: number | undefined;
}

export interface ChatReply extends AsyncIterable<string> {
  /** Resumes from the start on, whatever happens. */
  readonly stateId: string | null;
  /** How it ended, once its text has been read. */
  readonly result: ReplyResult | undefined;
}

export type ReplyResult = Pick<TurnEnd, "stateId" | "finishReason"> & {
  warning?: string | undefined;
  /** `null` where a reply was stopped and nobody has counted. */
  usage: Usage | null;
};

export interface ChatBackend {
  /** Who it is, for people. */
  readonly description: string;
  /** The flags that lead to it again. */
  readonly resumeFlags: readonly (readonly [flag: string, value: string])[];
  /** A signal ends the reply; its state is kept as far as it went. */
  startTurn(turn: ChatTurn, signal: AbortSignal): Promise<ChatReply>;
  /** What was said; throws where there is no such state. */
  recentMessages(
    stateId: string,
    limit: number,
  ): Promise<{ messages: readonly TranscriptEntry[]; total: number }>;
  /** A state as a file, in pieces. */
  exportState(stateId: string): Promise<readonly Uint8Array[]>;
  /** A file made a state; returns its id. */
  importState(file: Uint8Array<ArrayBuffer>): Promise<string>;
  close(): Promise<void>;
}

/** Sessions of this process. */
export function createLocalBackend(
  { sessions, close }: RunningSessions,
  { description: about, resumeFlags: flags }: Pick<ChatBackend, "description" | "resumeFlags">,
): ChatBackend {
  return {
    description: about,
    resumeFlags: flags,
    startTurn: async ({ seed, ...turn }, signal) => {
      const request = { ...turn, ...(seed === undefined ? {} : { seed }), stream: true };
      const { stateId, ...running } = await sessions.start(request, signal).then((turn) => ({
        stateId: turn.stateId,
        events: turn.events(),
      }));
      let end: ReplyResult | undefined;
      return {
        stateId,
        get result() {
          return end;
        },
        async *[Symbol.asyncIterator]() {
          for await (const event of running.events) {
            if (event.type === "text") yield event.text;
            else end = event;
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

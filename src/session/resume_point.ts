/** What a turn goes on from: a state that its request names, one that the store knows, or nothing. */

import { InferenceError } from "../core/errors.ts";
import type { Conversation } from "../store/states/conversations.ts";
import type { HashedMessage } from "../store/states/prefix_index.ts";
import type { StateInfo, StateStore } from "../store/states/state_store.ts";
import { canonicalMessage, type Message, type TranscriptEntry } from "../prompt/chat_template.ts";
import {
  decodeEntries,
  decodeSnapshot,
  type Instructions,
  type TurnSnapshot,
  visibleTranscript,
} from "./stored_turn.ts";
import type { SystemPrompts } from "./system_prompts.ts";
import type { SessionModel, TurnRequest } from "./session_types.ts";
import type { PromptLimits } from "./generation_request.ts";
import type { PreviousTurn } from "./build_prompt.ts";

export interface ResumePoint {
  /** The stored state; `null`: that before any token. */
  info: StateInfo | null;
  /** Its turn, as far as the next one carries it on. */
  previous: PreviousTurn | null;
  /** Messages that are to be read: what is new, or everything. */
  messages: readonly Message[];
  /** The system message that the turn has for itself. */
  instructions?: Instructions | undefined;
  /** To be moved on when the turn is stored. */
  conversation?: Conversation | undefined;
  /** Tokens that its state has absorbed for this very request. */
  processedNow: number;
}

export interface ResumePointOptions {
  store: StateStore;
  model: SessionModel;
  /** `null`: histories are read as they are sent, nothing is looked up. */
  systemPrompts: SystemPrompts | null;
}

/** How what is to be read first is read. */
export interface ResolveContext {
  /** Ends it. */
  signal: AbortSignal | undefined;
  /** Of the whole request. */
  bounds: PromptLimits;
}

/** Why a state that the index names may be of no use. */
const USELESS = ["state_not_found", "state_expired", "state_damaged", "model_mismatch"];

/** Parts of a history that are looked for: so many of the longest ones, and of the shortest. */
const [LONGEST, SHORTEST] = [500, 10];

/** How many messages a part of a history of `most` may have that is worth looking for, longest first. */
function likelyCounts(most: number): number[] {
  const counts: number[] = [];
  for (let count = most; count > 0; count--) {
    if (count > most - LONGEST || count <= SHORTEST) counts.push(count);
  }
  return counts;
}

export class ResumePointResolver {
  readonly #options: ResumePointOptions;

  constructor(options: ResumePointOptions) {
    this.#options = options;
  }

  /** @throws InferenceError what `StateStore.load` and `Conversations.get` throw */
  async resolve(request: TurnRequest, reading: ResolveContext): Promise<ResumePoint> {
    const { stateId, conversation: id } = request;
    if (stateId !== undefined) return await this.#fromState(stateId, request, reading);
    if (id === undefined) return await this.#fromNothing(request, reading);
    const conversation = await this.#options.store.conversations.get(id);
    const from = conversation.head === null
      ? await this.#fromNothing(request, reading)
      : await this.#fromState(conversation.head, request, reading);
    return { ...from, conversation };
  }

  async #fromNothing(request: TurnRequest, reading: ResolveContext): Promise<ResumePoint> {
    const { messages, added } = instructed([], request);
    return { ...await this.#fromHistory(messages, request, reading), instructions: added };
  }

  async #fromState(
    id: string,
    request: TurnRequest,
    reading: ResolveContext,
  ): Promise<ResumePoint> {
    const { store, model } = this.#options;
    const { reprocess: reread } = request;
    const { info, turn } = await store.inspect(id, reread ? {} : { model });
    const record = decodeSnapshot(turn);
    const messages = await this.#unread(request.messages, { info, record });
    const previous = { snapshot: record, open: info.open };
    const own = info.model.fingerprint === model.fingerprint;
    const { instructions } = record;
    const wanted = request.instructions;
    if (wanted !== undefined && messages.length > 0 && wanted !== (instructions?.text ?? null)) {
      if (own && instructions === undefined) {
        const count = (record.earlier?.count ?? 0) + record.transcript.length;
        const said = instructed([], { ...request, messages }, count);
        return {
          info,
          previous,
          messages: said.messages,
          processedNow: 0,
          instructions: said.added,
        };
      }
      // The state has absorbed what is to be gone: the rest is found by its words, or read again.
      const before = visibleTranscript(await decodeEntries(await store.readHistory(info)), record);
      const said = instructed(before, { ...request, messages });
      const from = await this.#fromHistory(said.messages, request, reading);
      return { ...from, instructions: said.added };
    }
    if (own) return { info, previous, messages, processedNow: 0, instructions };
    const transcript = [
      ...await decodeEntries(await store.readHistory(info)),
      ...record.transcript,
    ];
    const unread = { snapshot: { ...record, transcript, earlier: null }, open: info.open };
    return {
      info: null,
      previous: { ...unread, needsReprocessing: true },
      messages,
      processedNow: 0,
      instructions,
    };
  }

  /**
   * What of `messages` a state has not read: clients send the whole history beside an id, and where
   * it begins with the state's own transcript, only the rest is new.
   */
  async #unread(
    messages: readonly Message[],
    { info, record }: { info: StateInfo; record: TurnSnapshot },
  ): Promise<readonly Message[]> {
    const { transcript, earlier, instructions } = record;
    const count = (earlier?.count ?? 0) + transcript.length - (instructions ? 1 : 0);
    if (count === 0 || messages.length < count) return messages;
    const sent = messages.slice(0, count).map(canonicalMessage);
    // The latest messages are at hand, and differ unless the whole history was sent.
    const latest = instructions ? transcript.slice(-1) : transcript;
    if (!isSame(sent.slice(count - latest.length), latest)) return messages;
    if (earlier !== null || instructions) {
      const before = await decodeEntries(await this.#options.store.readHistory(info));
      if (!isSame(sent, visibleTranscript(before, record))) return messages;
    }
    return messages.slice(count);
  }

  /** The state after the longest part of a history that is known, for whoever sends it whole. */
  async #fromHistory(
    messages: readonly Message[],
    { store: keep, account }: TurnRequest,
    { signal, bounds }: ResolveContext,
  ): Promise<ResumePoint> {
    const { store, model, systemPrompts } = this.#options;
    const nothing: ResumePoint = { info: null, previous: null, messages, processedNow: 0 };
    if (systemPrompts === null || messages.length < 2) return nothing;
    const from = { model: model.fingerprint };
    const hashes = await store.prefixes.prefixHashes(from, messages.map(canonicalMessage));
    try {
      const counts = likelyCounts(hashes.length - 1);
      const known = counts.map((count) => hashes[count - 1]);
      for await (const { at, state } of store.prefixes.find(known)) {
        const found = await this.#known(state);
        const count = counts[at];
        if (found === null) continue;
        const { earlier, transcript } = found.previous.snapshot;
        if ((earlier?.count ?? 0) + transcript.length !== count) continue;
        return { ...found, messages: messages.slice(count), processedNow: 0 };
      }
      const reader = { signal, account, bounds };
      const read = keep === false
        ? null
        : await systemPrompts.prefillAndStore(messages, hashes, reader);
      if (read === null) return nothing;
      const { info, snapshot: record, messageCount: count } = read;
      const previous = { snapshot: record, open: false };
      return {
        info,
        previous,
        messages: messages.slice(count),
        processedNow: record.processedTokens,
      };
    } catch (error) {
      // A store that can't be reached costs what it would have saved.
      if (error instanceof InferenceError && error.code === "store_unavailable") return nothing;
      throw error;
    }
  }

  /**
   * A state that the index names. The reply to a history is as if it had been read anew: what was
   * sampled in it before counts for nothing.
   */
  async #known(id: string): Promise<{ info: StateInfo; previous: PreviousTurn } | null> {
    const { store, model } = this.#options;
    try {
      const { info, turn } = await store.inspect(id, { model });
      const record = { ...decodeSnapshot(turn), counts: new Map(), position: 0 };
      return { info, previous: { snapshot: record, open: info.open } };
    } catch (error) {
      if (error instanceof InferenceError && USELESS.includes(error.code)) return null;
      throw error;
    }
  }
}

/** Whether what was sent looks the same to the model as a transcript. */
function isSame(sent: readonly HashedMessage[], transcript: readonly TranscriptEntry[]): boolean {
  return transcript.every((entry, i) => {
    const { role, content } = canonicalMessage(entry);
    return sent[i].role === role && sent[i].content === content;
  });
}

/**
 * What is to be read where instructions stand before what is new.
 *
 * @param said What was said before and is to be read as well.
 * @param count Messages that are known already.
 */
function instructed(
  said: readonly Message[],
  { messages, instructions: text = null }: TurnRequest,
  count = 0,
): { messages: readonly Message[]; added: Instructions | undefined } {
  if (text === null) return { messages: [...said, ...messages], added: undefined };
  return {
    messages: [...said, { role: "system", content: text }, ...messages],
    added: { at: count + said.length, text },
  };
}

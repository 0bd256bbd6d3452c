/**
 * Finds the resume point of a turn: the state in the request, a state from the prefix cache, or the
 * state before any token.
 */

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
  /** The stored state; `null` is the state before any token. */
  info: StateInfo | null;
  /** Snapshot of the previous turn. */
  previous: PreviousTurn | null;
  /** Messages to process: the new ones, or all of them. */
  messages: readonly Message[];
  /** System message of this turn only. */
  instructions?: Instructions | undefined;
  /** A conversation to move to the new state. */
  conversation?: Conversation | undefined;
  /** Tokens that the state has processed during this request. They do not count as cached. */
  newlyProcessedTokens: number;
}

export interface ResumePointOptions {
  store: StateStore;
  model: SessionModel;
  /** `null` disables prefix caching. */
  systemPrompts: SystemPrompts | null;
}

/** Context of a prefill that resolving may need. */
export interface ResolveContext {
  /** Cancels the prefill. */
  signal: AbortSignal | undefined;
  /** Limits of the whole request. */
  promptLimits: PromptLimits;
}

/** Errors for which a state from the prefix cache is skipped. */
const SKIPPED_ERRORS = ["state_not_found", "state_expired", "state_damaged", "model_mismatch"];

/** Number of the longest and of the shortest prefixes to look up. */
const [LONGEST, SHORTEST] = [500, 10];

/** Returns the prefix lengths to look up in a history of `maxCount` messages, longest first. */
function candidatePrefixLengths(maxCount: number): number[] {
  const counts: number[] = [];
  for (let count = maxCount; count > 0; count--) {
    if (count > maxCount - LONGEST || count <= SHORTEST) counts.push(count);
  }
  return counts;
}

export class ResumePointResolver {
  readonly #options: ResumePointOptions;

  constructor(options: ResumePointOptions) {
    this.#options = options;
  }

  /**
   * Finds the resume point of a request.
   *
   * @throws InferenceError from `StateStore.load` or `Conversations.get`
   */
  async resolve(request: TurnRequest, context: ResolveContext): Promise<ResumePoint> {
    const { stateId, conversation: id } = request;
    if (stateId !== undefined) return await this.#fromState(stateId, request, context);
    if (id === undefined) return await this.#fromInitialState(request, context);
    const conversation = await this.#options.store.conversations.get(id);
    const from = conversation.head === null
      ? await this.#fromInitialState(request, context)
      : await this.#fromState(conversation.head, request, context);
    return { ...from, conversation };
  }

  async #fromInitialState(request: TurnRequest, context: ResolveContext): Promise<ResumePoint> {
    const { messages, added } = withInstructions([], request);
    return { ...await this.#fromHistory(messages, request, context), instructions: added };
  }

  async #fromState(
    id: string,
    request: TurnRequest,
    context: ResolveContext,
  ): Promise<ResumePoint> {
    const { store, model } = this.#options;
    const { reprocess } = request;
    const { info, turn } = await store.inspect(id, reprocess ? {} : { model });
    const snapshot = decodeSnapshot(turn);
    const messages = await this.#unprocessedMessages(request.messages, { info, snapshot });
    const previous = { snapshot, open: info.open };
    const sameModel = info.model.fingerprint === model.fingerprint;
    const { instructions } = snapshot;
    const requested = request.instructions;
    if (
      requested !== undefined && messages.length > 0 && requested !== (instructions?.text ?? null)
    ) {
      if (sameModel && instructions === undefined) {
        const count = (snapshot.earlier?.count ?? 0) + snapshot.transcript.length;
        const combined = withInstructions([], { ...request, messages }, count);
        return {
          info,
          previous,
          messages: combined.messages,
          newlyProcessedTokens: 0,
          instructions: combined.added,
        };
      }
      // The state has processed instructions that must not apply any more. Another state may have
      // the visible transcript as a prefix; otherwise all of it is processed again.
      const before = visibleTranscript(
        await decodeEntries(await store.readHistory(info)),
        snapshot,
      );
      const combined = withInstructions(before, { ...request, messages });
      const from = await this.#fromHistory(combined.messages, request, context);
      return { ...from, instructions: combined.added };
    }
    if (sameModel) return { info, previous, messages, newlyProcessedTokens: 0, instructions };
    const transcript = [
      ...await decodeEntries(await store.readHistory(info)),
      ...snapshot.transcript,
    ];
    const whole = { snapshot: { ...snapshot, transcript, earlier: null }, open: info.open };
    return {
      info: null,
      previous: { ...whole, needsReprocessing: true },
      messages,
      newlyProcessedTokens: 0,
      instructions,
    };
  }

  /**
   * Returns the messages that a state has not processed. Clients may send the whole history
   * together with a state id; if it starts with the transcript of the state, only the rest is new.
   */
  async #unprocessedMessages(
    messages: readonly Message[],
    { info, snapshot }: { info: StateInfo; snapshot: TurnSnapshot },
  ): Promise<readonly Message[]> {
    const { transcript, earlier, instructions } = snapshot;
    const count = (earlier?.count ?? 0) + transcript.length - (instructions ? 1 : 0);
    if (count === 0 || messages.length < count) return messages;
    const sent = messages.slice(0, count).map(canonicalMessage);
    // The latest messages need no read, and differ unless the client sent the whole history.
    const latest = instructions ? transcript.slice(-1) : transcript;
    if (!isSame(sent.slice(count - latest.length), latest)) return messages;
    if (earlier !== null || instructions) {
      const before = await decodeEntries(await this.#options.store.readHistory(info));
      if (!isSame(sent, visibleTranscript(before, snapshot))) return messages;
    }
    return messages.slice(count);
  }

  /** Returns the cached state for the longest known prefix of a history. */
  async #fromHistory(
    messages: readonly Message[],
    { store: storeEnabled, account }: TurnRequest,
    { signal, promptLimits }: ResolveContext,
  ): Promise<ResumePoint> {
    const { store, model, systemPrompts } = this.#options;
    const initial: ResumePoint = { info: null, previous: null, messages, newlyProcessedTokens: 0 };
    if (systemPrompts === null || messages.length < 2) return initial;
    const from = { model: model.fingerprint };
    const hashes = await store.prefixes.prefixHashes(from, messages.map(canonicalMessage));
    try {
      const counts = candidatePrefixLengths(hashes.length - 1);
      const candidates = counts.map((count) => hashes[count - 1]);
      for await (const { at, state } of store.prefixes.find(candidates)) {
        const found = await this.#cachedState(state);
        const count = counts[at];
        if (found === null) continue;
        const { earlier, transcript } = found.previous.snapshot;
        if ((earlier?.count ?? 0) + transcript.length !== count) continue;
        return { ...found, messages: messages.slice(count), newlyProcessedTokens: 0 };
      }
      const promptContext = { signal, account, promptLimits };
      const prompt = storeEnabled === false
        ? null
        : await systemPrompts.prefillAndStore(messages, hashes, promptContext);
      if (prompt === null) return initial;
      const { info, snapshot, messageCount } = prompt;
      const previous = { snapshot, open: false };
      return {
        info,
        previous,
        messages: messages.slice(messageCount),
        newlyProcessedTokens: snapshot.processedTokens,
      };
    } catch (error) {
      // Without the store there is no cached prefix; the turn still runs.
      if (error instanceof InferenceError && error.code === "store_unavailable") return initial;
      throw error;
    }
  }

  /**
   * Returns a state from the prefix cache. The reply must be the same as after a full prefill, so
   * the counts and the position of earlier sampling are reset.
   */
  async #cachedState(id: string): Promise<{ info: StateInfo; previous: PreviousTurn } | null> {
    const { store, model } = this.#options;
    try {
      const { info, turn } = await store.inspect(id, { model });
      const snapshot = { ...decodeSnapshot(turn), counts: new Map(), position: 0 };
      return { info, previous: { snapshot, open: info.open } };
    } catch (error) {
      if (error instanceof InferenceError && SKIPPED_ERRORS.includes(error.code)) return null;
      throw error;
    }
  }
}

/** Whether the sent messages look the same to the model as the transcript. */
function isSame(sent: readonly HashedMessage[], transcript: readonly TranscriptEntry[]): boolean {
  return transcript.every((entry, i) => {
    const { role, content } = canonicalMessage(entry);
    return sent[i].role === role && sent[i].content === content;
  });
}

/**
 * Returns the messages to process, with the instructions before the new ones.
 *
 * @param processed Earlier messages that are processed again.
 * @param count Number of messages that the state has processed.
 */
function withInstructions(
  processed: readonly Message[],
  { messages, instructions = null }: TurnRequest,
  count = 0,
): { messages: readonly Message[]; added: Instructions | undefined } {
  if (instructions === null) return { messages: [...processed, ...messages], added: undefined };
  return {
    messages: [...processed, { role: "system", content: instructions }, ...messages],
    added: { at: count + processed.length, text: instructions },
  };
}

/** Builds the initial snapshot of a turn from the request and the previous turn. */

import { InferenceError } from "../core/errors.ts";
import { TimeSlice } from "../core/time_slice.ts";
import {
  type Message,
  messageText,
  renderMessage,
  REPLY_START,
  replyOpening,
  type TranscriptEntry,
  TURN_END,
} from "../prompt/chat_template.ts";
import type { EarlierMessages, Instructions, TurnSnapshot } from "./stored_turn.ts";
import { Reply, type TokenCodec } from "../prompt/reply.ts";

/** A stored turn that is resumed. */
export interface PreviousTurn {
  snapshot: TurnSnapshot;
  /** Whether its reply is unfinished. */
  open: boolean;
  /**
   * Whether no compatible state has processed it. Its transcript is complete and is processed
   * again.
   */
  needsReprocessing?: boolean;
}

export interface BuildPromptOptions {
  tokenizer: TokenCodec;
  /** Seed of the request, if it has one. */
  seed: bigint | undefined;
  /** Returns a seed for a turn that has none. */
  freshSeed: () => bigint;
  /** A raw text to continue instead of messages to answer. */
  prompt?: string | undefined;
  /** System message of this turn only. */
  instructions?: Instructions | undefined;
  /** Whether the last message is the beginning of the reply. */
  continueFinalMessage?: boolean | undefined;
  /** Whether an empty line does not end the reply. Such a reply is excluded from prefix caching. */
  ignoreEos?: boolean | undefined;
}

/**
 * Builds the initial snapshot of a turn. `pending` is the prompt to process, and the transcript
 * ends with the reply to generate or to continue.
 *
 * @throws InferenceError `invalid_value` if there is nothing to reply to
 */
export async function buildPrompt(
  previous: PreviousTurn | null,
  messages: readonly Message[],
  options: BuildPromptOptions,
): Promise<TurnSnapshot> {
  const {
    tokenizer,
    seed,
    freshSeed,
    prompt,
    instructions,
    continueFinalMessage,
    ignoreEos,
  } = options;
  const hasNoInput = prompt === undefined && messages.length === 0;
  if (hasNoInput && !isUnanswered(previous)) return await continueReply(previous, options);
  assertUserMessagesNotEmpty(messages);
  if (prompt === "" && previous === null) {
    throw new InferenceError(
      "invalid_value",
      "prompt: it is empty; send a text to continue, or a state_id",
      { param: "prompt" },
    );
  }
  if (previous?.needsReprocessing) {
    return await buildPrompt(null, [...previous.snapshot.transcript, ...messages], options);
  }
  const snapshot = previous?.snapshot;
  const leading = leadingTokens(previous, tokenizer);
  const complete = continueFinalMessage ? messages.slice(0, -1) : messages;
  const opening = continueFinalMessage ? replyOpening(messages[messages.length - 1]) : "";
  const added = prompt === undefined
    ? complete.map((message) => ({ role: message.role, content: messageText(message) }))
    : [{ role: "user" as const, content: prompt }];
  const tokens = prompt === undefined
    ? [...await encodeMessages(complete, tokenizer), ...encodeReply(opening, tokenizer)]
    : tokenizer.encode(prompt);
  const earlier = snapshot?.earlier ?? null;
  return {
    pending: [...leading, ...tokens],
    processedTokens: snapshot?.processedTokens ?? 0,
    position: snapshot?.position ?? 0,
    seed: seed ?? freshSeed(),
    counts: snapshot?.counts ?? new Map(),
    undisplayedBytes: new Uint8Array(),
    earlier: prompt === undefined && !ignoreEos ? earlier : isolatedPrefix(earlier, "plain"),
    transcript: [...snapshot?.transcript ?? [], ...added, { role: "assistant", content: opening }],
    ...(prompt === undefined ? {} : { rawText: true }),
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** Appends messages without a reply to a snapshot. The next turn processes them. */
export async function appendMessages(
  previous: PreviousTurn | null,
  messages: readonly TranscriptEntry[],
  tokenizer: TokenCodec,
): Promise<TurnSnapshot> {
  const snapshot = previous?.snapshot;
  return {
    pending: [...leadingTokens(previous, tokenizer), ...await encodeMessages(messages, tokenizer)],
    processedTokens: snapshot?.processedTokens ?? 0,
    position: snapshot?.position ?? 0,
    seed: snapshot?.seed ?? 0n,
    counts: snapshot?.counts ?? new Map(),
    undisplayedBytes: new Uint8Array(),
    earlier: snapshot?.earlier ?? null,
    transcript: [...snapshot?.transcript ?? [], ...messages],
    ...(snapshot?.instructions ? { instructions: snapshot.instructions } : {}),
  };
}

/** Whether a state ends with a user message that has no reply yet. */
function isUnanswered(previous: PreviousTurn | null): boolean {
  return previous?.snapshot.transcript.at(-1)?.role === "user";
}

/** Returns the tokens to process before new messages. They close the reply of an open turn. */
function leadingTokens(previous: PreviousTurn | null, tokenizer: TokenCodec): readonly number[] {
  if (previous === null) return [];
  const { snapshot, open } = previous;
  return open && !snapshot.rawText ? closeOpenTurn(snapshot, tokenizer) : snapshot.pending;
}

/**
 * Returns a history hash that no list of messages can have. It excludes a state and the states
 * after it from prefix caching.
 */
export function isolatedPrefix(
  earlier: EarlierMessages | null,
  reason: "plain" | "stop",
): EarlierMessages {
  return { count: earlier?.count ?? 0, hash: `${reason} ${earlier?.hash ?? ""}` };
}

/**
 * Encodes each message separately, so that the ids do not depend on which messages were processed
 * before. Yields to the event loop between time slices.
 */
export async function encodeMessages(
  messages: readonly Message[],
  tokenizer: TokenCodec,
): Promise<number[]> {
  const slice = new TimeSlice();
  const ids: number[] = [];
  for (const message of messages) {
    for (const id of tokenizer.encode(renderMessage(message))) ids.push(id);
    if (slice.isOver) await slice.next();
  }
  return ids;
}

/** Encodes the beginning of a reply as the model would have generated it. */
function encodeReply(text: string, tokenizer: TokenCodec): number[] {
  const start = tokenizer.encode(REPLY_START);
  return text === "" ? start : [...start, ...tokenizer.encode(` ${text}`)];
}

/**
 * Asserts that no user message is empty.
 *
 * @throws InferenceError `invalid_value`
 */
function assertUserMessagesNotEmpty(messages: readonly Message[]): void {
  messages.forEach((message, i) => {
    if (message.role !== "user" || messageText(message).trim() !== "") return;
    const param = `messages[${i}].content`;
    throw new InferenceError(
      "invalid_value",
      `${param}: it is empty; send a text to reply to`,
      {
        param,
      },
    );
  });
}

async function continueReply(
  previous: PreviousTurn | null,
  options: BuildPromptOptions,
): Promise<TurnSnapshot> {
  const { tokenizer, seed, ignoreEos } = options;
  if (previous === null) {
    throw new InferenceError(
      "invalid_value",
      "messages: a new conversation needs at least one message",
      { param: "messages" },
    );
  }
  if (!previous.open) {
    throw new InferenceError(
      "invalid_value",
      "messages: the last turn of this state is complete; send a new message, " +
        "because only an unfinished reply can be continued without one",
      { param: "messages" },
    );
  }
  const { snapshot } = previous;
  if (!previous.needsReprocessing) {
    const earlier = ignoreEos ? isolatedPrefix(snapshot.earlier, "plain") : snapshot.earlier;
    return { ...snapshot, earlier, seed: seed ?? snapshot.seed };
  }
  const reply = snapshot.transcript[snapshot.transcript.length - 1];
  const fresh = await buildPrompt(null, snapshot.transcript.slice(0, -1), {
    ...options,
    continueFinalMessage: false,
  });
  const replyTokens = reply.content === "" ? [] : tokenizer.encode(` ${reply.content}`);
  return {
    ...fresh,
    pending: [...fresh.pending, ...replyTokens],
    transcript: snapshot.transcript,
  };
}

function closeOpenTurn(
  { pending, undisplayedBytes, transcript }: TurnSnapshot,
  tokenizer: TokenCodec,
): number[] {
  const end = -TURN_END.length;
  const text = transcript[transcript.length - 1].content.slice(end);
  return new Reply(tokenizer, { text, undisplayedBytes: undisplayedBytes.slice(end) })
    .closingTokens(pending);
}

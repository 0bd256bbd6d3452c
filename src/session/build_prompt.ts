/** What a turn starts from, worked out of a request and the turn before. */

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
  /** Whether no state has absorbed any of it: its transcript, which is whole, is to be read again. */
  needsReprocessing?: boolean;
}

export interface BuildPromptOptions {
  tokenizer: TokenCodec;
  /** The request's seed, if it has one. */
  seed: bigint | undefined;
  /** For a turn that has no seed yet. */
  freshSeed: () => bigint;
  /** A text to be written on, instead of messages to be replied to. */
  prompt?: string | undefined;
  /** The system message that the turn has for itself. */
  instructions?: Instructions | undefined;
  /** Whether the last message is the beginning of the reply. */
  continueFinalMessage?: boolean | undefined;
  /** Whether an empty line does not end the reply: messages with the same words do not find it. */
  ignoreEos?: boolean | undefined;
}

/**
 * The record with which a turn starts: `pending` is what the model reads before it writes, and the
 * transcript ends with the reply to write, or to write on.
 *
 * @throws InferenceError `invalid_value` if there is nothing to reply to.
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
    continueFinalMessage: prefill,
    ignoreEos: endless,
  } = options;
  const silent = prompt === undefined && messages.length === 0;
  if (silent && !isUnanswered(previous)) return await continuation(previous, options);
  assertSaid(messages);
  if (prompt === "" && previous === null) {
    throw new InferenceError(
      "invalid_value",
      "prompt: it is empty; write something to go on from, or give a state_id",
      { param: "prompt" },
    );
  }
  if (previous?.needsReprocessing) {
    return await buildPrompt(null, [...previous.snapshot.transcript, ...messages], options);
  }
  const record = previous?.snapshot;
  const read = leftOver(previous, tokenizer);
  const complete = prefill ? messages.slice(0, -1) : messages;
  const opening = prefill ? replyOpening(messages[messages.length - 1]) : "";
  const added = prompt === undefined
    ? complete.map((message) => ({ role: message.role, content: messageText(message) }))
    : [{ role: "user" as const, content: prompt }];
  const tokens = prompt === undefined
    ? [...await encodeMessages(complete, tokenizer), ...encodeReply(opening, tokenizer)]
    : tokenizer.encode(prompt);
  const earlier = record?.earlier ?? null;
  return {
    pending: [...read, ...tokens],
    processedTokens: record?.processedTokens ?? 0,
    position: record?.position ?? 0,
    seed: seed ?? freshSeed(),
    counts: record?.counts ?? new Map(),
    undisplayedBytes: new Uint8Array(),
    earlier: prompt === undefined && !endless ? earlier : isolatedPrefix(earlier, "plain"),
    transcript: [...record?.transcript ?? [], ...added, { role: "assistant", content: opening }],
    ...(prompt === undefined ? {} : { rawText: true }),
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/**
 * The record of a state that has messages behind it, and no reply to them: they are read when the
 * next turn begins.
 */
export async function appendMessages(
  previous: PreviousTurn | null,
  messages: readonly TranscriptEntry[],
  tokenizer: TokenCodec,
): Promise<TurnSnapshot> {
  const record = previous?.snapshot;
  return {
    pending: [...leftOver(previous, tokenizer), ...await encodeMessages(messages, tokenizer)],
    processedTokens: record?.processedTokens ?? 0,
    position: record?.position ?? 0,
    seed: record?.seed ?? 0n,
    counts: record?.counts ?? new Map(),
    undisplayedBytes: new Uint8Array(),
    earlier: record?.earlier ?? null,
    transcript: [...record?.transcript ?? [], ...messages],
    ...(record?.instructions ? { instructions: record.instructions } : {}),
  };
}

/** Whether a state ends with what its user has said, which is to be replied to. */
function isUnanswered(previous: PreviousTurn | null): boolean {
  return previous?.snapshot.transcript.at(-1)?.role === "user";
}

/** Tokens that are to be read before what is new; they end the reply of an open turn. */
function leftOver(previous: PreviousTurn | null, tokenizer: TokenCodec): readonly number[] {
  if (previous === null) return [];
  const { snapshot: record, open } = previous;
  return open && !record.rawText ? closeOpenTurn(record, tokenizer) : record.pending;
}

/** What a state that is not found by messages with the same words has before its own, as its children. */
export function isolatedPrefix(
  earlier: EarlierMessages | null,
  why: "plain" | "stop",
): EarlierMessages {
  return { count: earlier?.count ?? 0, hash: `${why} ${earlier?.hash ?? ""}` };
}

/**
 * Encodes each message on its own, so that the ids do not depend on which of them were read before;
 * in time slices.
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

/** The beginning of a reply, as the model would have written it. */
function encodeReply(text: string, tokenizer: TokenCodec): number[] {
  const start = tokenizer.encode(REPLY_START);
  return text === "" ? start : [...start, ...tokenizer.encode(` ${text}`)];
}

/** @throws InferenceError `invalid_value` for a user who says nothing */
function assertSaid(messages: readonly Message[]): void {
  messages.forEach((message, i) => {
    if (message.role !== "user" || messageText(message).trim() !== "") return;
    const param = `messages[${i}].content`;
    throw new InferenceError(
      "invalid_value",
      `${param}: it is empty; write something to reply to`,
      {
        param,
      },
    );
  });
}

async function continuation(
  previous: PreviousTurn | null,
  options: BuildPromptOptions,
): Promise<TurnSnapshot> {
  const { tokenizer, seed, ignoreEos: endless } = options;
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
      "messages: the last turn of this state is complete, so there must be a new message; " +
        "only a reply that was cut short goes on without one",
      { param: "messages" },
    );
  }
  const { snapshot: record } = previous;
  if (!previous.needsReprocessing) {
    const earlier = endless ? isolatedPrefix(record.earlier, "plain") : record.earlier;
    return { ...record, earlier, seed: seed ?? record.seed };
  }
  const reply = record.transcript[record.transcript.length - 1];
  const fresh = await buildPrompt(null, record.transcript.slice(0, -1), {
    ...options,
    continueFinalMessage: false,
  });
  const written = reply.content === "" ? [] : tokenizer.encode(` ${reply.content}`);
  return {
    ...fresh,
    pending: [...fresh.pending, ...written],
    transcript: record.transcript,
  };
}

function closeOpenTurn(
  { pending, undisplayedBytes: held, transcript }: TurnSnapshot,
  tokenizer: TokenCodec,
): number[] {
  const end = -TURN_END.length;
  const text = transcript[transcript.length - 1].content.slice(end);
  return new Reply(tokenizer, { text, undisplayedBytes: held.slice(end) }).closingTokens(pending);
}

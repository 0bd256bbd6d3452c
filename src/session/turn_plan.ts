/** What a turn starts from, worked out of a request and the turn before. Pure. */

import { InferenceError } from "../core/errors.ts";
import {
  type Message,
  messageText,
  renderMessage,
  REPLY_START,
  TURN_END,
} from "./chat_template.ts";
import type { EarlierMessages } from "./history.ts";
import { Reply, type TokenCodec } from "./reply.ts";
import type { Instructions, TurnRecord } from "./turn_record.ts";

/** A stored turn that is resumed. */
export interface PreviousTurn {
  record: TurnRecord;
  /** Whether its reply is unfinished. */
  open: boolean;
  /** Whether no state has absorbed any of it: its transcript, which is whole, is to be read again. */
  unread?: boolean;
}

export interface PlanOptions {
  tokenizer: TokenCodec;
  /** The request's seed, if it has one. */
  seed: bigint | undefined;
  /** For a turn that has no seed yet. */
  freshSeed: () => bigint;
  /** A text to be written on, instead of messages to be replied to. */
  prompt?: string | undefined;
  /** The system message that the turn has for itself. */
  instructions?: Instructions | undefined;
}

/**
 * The record with which a turn starts: `pending` is what the model reads before it writes, and the
 * transcript ends with the reply to write, or to write on.
 *
 * @throws InferenceError `invalid_value` if there is nothing to reply to.
 */
export function planTurn(
  previous: PreviousTurn | null,
  messages: readonly Message[],
  options: PlanOptions,
): TurnRecord {
  const { tokenizer, seed, freshSeed, prompt, instructions } = options;
  if (prompt === undefined && messages.length === 0) return continuation(previous, options);
  assertSaid(messages);
  if (prompt === "" && previous === null) {
    throw new InferenceError(
      "invalid_value",
      "prompt: it is empty; write something to go on from, or give a state_id",
      { param: "prompt" },
    );
  }
  if (previous?.unread) {
    return planTurn(null, [...previous.record.transcript, ...messages], options);
  }
  const record = previous?.record;
  const read = previous === null
    ? []
    : previous.open && !previous.record.plain
    ? closeOpenTurn(previous.record, tokenizer)
    : previous.record.pending;
  const added = prompt === undefined
    ? messages.map((message) => ({ role: message.role, content: messageText(message) }))
    : [{ role: "user" as const, content: prompt }];
  const tokens = prompt === undefined
    ? [...encodeMessages(messages, tokenizer), ...tokenizer.encode(REPLY_START)]
    : tokenizer.encode(prompt);
  return {
    pending: [...read, ...tokens],
    absorbed: record?.absorbed ?? 0,
    position: record?.position ?? 0,
    seed: seed ?? freshSeed(),
    counts: record?.counts ?? new Map(),
    held: new Uint8Array(),
    earlier: prompt === undefined
      ? record?.earlier ?? null
      : apart(record?.earlier ?? null, "plain"),
    transcript: [...record?.transcript ?? [], ...added, { role: "assistant", content: "" }],
    ...(prompt === undefined ? {} : { plain: true }),
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** What a state that is not found by messages with the same words has before its own, as its children. */
export function apart(earlier: EarlierMessages | null, why: "plain" | "stop"): EarlierMessages {
  return { count: earlier?.count ?? 0, hash: `${why} ${earlier?.hash ?? ""}` };
}

/** Each message on its own, so that the ids do not depend on which of them were read before. */
export function encodeMessages(messages: readonly Message[], tokenizer: TokenCodec): number[] {
  return messages.flatMap((message) => tokenizer.encode(renderMessage(message)));
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

function continuation(
  previous: PreviousTurn | null,
  options: PlanOptions,
): TurnRecord {
  const { tokenizer, seed } = options;
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
  const { record } = previous;
  if (!previous.unread) return { ...record, seed: seed ?? record.seed };
  const reply = record.transcript[record.transcript.length - 1];
  const fresh = planTurn(null, record.transcript.slice(0, -1), options);
  const written = reply.content === "" ? [] : tokenizer.encode(` ${reply.content}`);
  return {
    ...fresh,
    pending: [...fresh.pending, ...written],
    transcript: record.transcript,
  };
}

function closeOpenTurn({ pending, held }: TurnRecord, tokenizer: TokenCodec): number[] {
  const { length } = TURN_END;
  return new Reply(tokenizer, { held: held.slice(-length) }).close(pending);
}

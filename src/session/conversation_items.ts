/**
 * Messages that are put behind a state without a reply: kept as its transcript, and as tokens that
 * the next turn reads first.
 */

import { InferenceError } from "../core/errors.ts";
import { decodeState } from "../store/states/state_codec.ts";
import type { StateInfo, StateStore, StoredState } from "../store/states/state_store.ts";
import { canonicalMessage, type TranscriptEntry } from "../prompt/chat_template.ts";
import { appendEntries } from "./history.ts";
import { encodeForStorage } from "./stored_encoding.ts";
import { describeModel } from "./model_description.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import type { SessionModel, TurnAccount } from "./session_types.ts";
import { limitedCodec } from "./turn_limits.ts";
import { appendMessages } from "./build_prompt.ts";
import { archiveTurn, decodeSnapshot, encodeSnapshot } from "./turn_snapshot.ts";
import type { Conversation } from "../store/states/conversations.ts";

/** What messages are stored with. */
export interface ItemStoreOptions {
  /** Where they go. */
  store: StateStore;
  /** What is to read them. */
  model: SessionModel;
  /** The model's own. */
  tokenizer: TokenCodec;
  /** Tokens that one request may give to read. */
  promptTokens: number;
}

/** What messages are put behind, and within whose bounds. */
export interface ItemTarget {
  /** The state; `null`: that before any token. */
  head: string | null;
  /** To be moved on to the new state. */
  conversation?: Conversation | undefined;
  account?: TurnAccount | undefined;
}

/** Where messages were stored. */
export interface StoredItems {
  state: StoredState;
  /** Messages before them, without instructions. */
  precedingMessages: number;
}

/** Of a prompt's tokens, the part that may wait: a message must fit behind them. */
const WAITING_SHARE = 1 / 2;

/**
 * Stores messages behind a state, as a new one.
 *
 * @throws InferenceError `context_length_exceeded` for more than a turn could read; as
 * `StateStore.inspect`; by the account `storage_limit_exceeded`
 */
export async function storeItems(
  messages: readonly TranscriptEntry[],
  { head, conversation, account }: ItemTarget,
  { store, model, tokenizer, promptTokens }: ItemStoreOptions,
): Promise<StoredItems> {
  const most = Math.floor(
    (account?.promptTokenLimit(promptTokens) ?? promptTokens) * WAITING_SHARE,
  );
  const found = head === null ? null : await store.inspect(head, { model });
  const previous = found && { snapshot: decodeSnapshot(found.turn), open: found.info.open };
  const codec = limitedCodec(tokenizer, 2 * most, () => tooLong(`more than ${2 * most}`, most));
  const record = await appendMessages(previous, messages, codec);
  if (record.pending.length > most) throw tooLong(`${record.pending.length}`, most);
  const free = await account?.reserveStorage(1, describeModel(model).storedBytes);
  try {
    const earlier = previous?.snapshot.transcript ?? [];
    const from = record.earlier ? { after: record.earlier.hash } : { model: model.fingerprint };
    const hashes = await store.prefixes.prefixHashes(from, record.transcript.map(canonicalMessage));
    const history = found && await store.readHistory(found.info);
    const content = {
      state: found && await stateOf(found.info, store, model),
      turn: encodeSnapshot(archiveTurn(record, earlier.length, hashes)),
      history: await appendEntries(history, earlier),
      open: false,
      tokens: record.processedTokens,
    };
    const { imported } = found?.info ?? {};
    const names = { id: store.newId(), model, parent: head, conversation, imported };
    const count = (previous?.snapshot.earlier?.count ?? 0) + earlier.length;
    return {
      state: await store.save(content, names),
      precedingMessages: record.instructions === undefined ? count : count - 1,
    };
  } finally {
    free?.();
  }
}

/** A state's bytes, as those of a finished turn are kept. */
async function stateOf(
  info: StateInfo,
  store: StateStore,
  model: SessionModel,
): Promise<Uint8Array | null> {
  const bytes = await store.readState(info);
  return bytes && info.open
    ? encodeForStorage(decodeState(bytes), { open: false, model }).bytes
    : bytes;
}

function tooLong(tokens: string, most: number): InferenceError {
  return new InferenceError(
    "context_length_exceeded",
    `items: ${tokens} tokens would wait for the next turn to read, and at most ${most} may; ` +
      "send fewer or shorter messages, with turns between them",
    { param: "items", limit: "prompt_tokens" },
  );
}

/**
 * Conversations: names that point to a state of this worker's model. Messages that are added
 * without a reply are stored in the transcript of a new state and as tokens that the next turn
 * processes first.
 */

import type { Conversation } from "../store/states/conversations.ts";
import { InferenceError } from "../core/errors.ts";
import type { StateInfo, StateStore, StoredState } from "../store/states/state_store.ts";
import { canonicalMessage, type TranscriptEntry } from "../prompt/chat_template.ts";
import type { ReserveMemory, SessionModel, TurnAccount } from "./session_types.ts";
import type {
  AddedItems,
  ConversationApi,
  ConversationChange,
  NewConversation,
  PageRequest,
  TranscriptPage,
} from "./session_api.ts";
import { openTranscript, readPage } from "./transcript.ts";
import { decodeState } from "../store/states/state_codec.ts";
import {
  appendEntries,
  archiveTurn,
  decodeSnapshot,
  describeModel,
  encodeForStorage,
  encodeSnapshot,
} from "./stored_turn.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import { limitedCodec } from "./generation_request.ts";
import { appendMessages } from "./build_prompt.ts";

/** Number of attempts to add messages while other requests change the conversation. */
const ATTEMPTS = 8;

/** The conversations of one tenant. */
export class ConversationService implements ConversationApi {
  readonly #options: ItemStoreOptions;
  readonly #store: StateStore;

  /** Creates the service for one store and one model. */
  constructor(options: ItemStoreOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /**
   * Creates a conversation, optionally from a state and with messages. Throws the errors of
   * `StateStore.inspect` and `addItems`.
   */
  async create(
    { stateId, metadata = {}, items = [] }: NewConversation = {},
    account?: TurnAccount,
  ): Promise<Conversation> {
    if (stateId !== undefined) await this.#assertState(stateId);
    const from = stateId ?? null;
    if (items.length === 0) {
      return await this.#store.conversations.create({ head: from, metadata });
    }
    const { state } = await storeItems(items, { head: from, account }, this.#options);
    return await this.#store.conversations.create({ head: state.id, metadata });
  }

  /**
   * Adds messages to a conversation for its next turn to process.
   *
   * @throws InferenceError from `get` or `StateStore.inspect`; `context_length_exceeded` for more
   * tokens than a turn can process; or `storage_limit_exceeded` from the account
   */
  async addItems(
    id: string,
    items: readonly TranscriptEntry[],
    account?: TurnAccount,
  ): Promise<AddedItems> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const conversation = await this.get(id);
      const target = { head: conversation.head, conversation, account };
      const { state, precedingMessages } = await storeItems(items, target, this.#options);
      if (state.moved) return { precedingMessages, stateId: state.id };
      await this.#store.delete(state.id);
    }
    throw new InferenceError(
      "store_unavailable",
      `Cannot add items to conversation "${id}": it was changed ${ATTEMPTS} times concurrently; retry later`,
      { param: "items" },
    );
  }

  /**
   * Returns a conversation.
   *
   * @throws InferenceError `conversation_not_found`
   */
  get(id: string): Promise<Conversation> {
    return this.#store.conversations.get(id);
  }

  /**
   * Returns a page of the transcript, without the instructions of the latest turn. Throws the
   * errors of `get`, `StateStore.inspect` and `reserve`.
   */
  async transcript(
    id: string,
    page: PageRequest,
    reserve?: ReserveMemory,
  ): Promise<TranscriptPage & { open: boolean }> {
    const { head } = await this.get(id);
    if (head === null) return { messages: [], total: 0, hasMore: false, open: false };
    const stored = await openTranscript(this.#store, head, reserve);
    const read = await readPage(this.#store, stored, { ...page, withoutInstructions: true });
    return { ...read, open: stored.info.open };
  }

  /** Updates the state or the metadata. Throws the errors of `get` and `create`. */
  async update(id: string, { stateId, metadata }: ConversationChange): Promise<Conversation> {
    if (stateId !== undefined) await this.#assertState(stateId);
    return await this.#store.conversations.update(id, {
      ...(stateId === undefined ? {} : { head: stateId }),
      ...(metadata === undefined ? {} : { metadata }),
    });
  }

  /** Deletes the conversation but not its states. Throws the errors of `get`. */
  delete(id: string): Promise<void> {
    return this.#store.conversations.delete(id);
  }

  async #assertState(id: string): Promise<void> {
    await this.#store.inspect(id, { model: this.#options.model });
  }
}

/** Dependencies of stored messages. */
export interface ItemStoreOptions {
  /** Stores the states. */
  store: StateStore;
  /** The model that processes the messages. */
  model: SessionModel;
  /** The tokenizer of the model. */
  tokenizer: TokenCodec;
  /** Maximum number of prompt tokens of one request. */
  maxPromptTokens: number;
}

/** The state after which messages are added, and the limits for them. */
export interface ItemTarget {
  /** Id of the state; `null` is the state before any token. */
  head: string | null;
  /** A conversation to move to the new state. */
  conversation?: Conversation | undefined;
  account?: TurnAccount | undefined;
}

/** The result of storing messages. */
export interface StoredItems {
  state: StoredState;
  /** Number of messages before them, without instructions. */
  precedingMessages: number;
}

/** Fraction of the prompt limit for pending tokens, so that the next message still fits. */
const PENDING_FRACTION = 1 / 2;

/**
 * Stores messages after a state, as a new state.
 *
 * @throws InferenceError `context_length_exceeded` for more tokens than a turn can process;
 * from `StateStore.inspect`; or `storage_limit_exceeded` from the account
 */
export async function storeItems(
  messages: readonly TranscriptEntry[],
  { head, conversation, account }: ItemTarget,
  { store, model, tokenizer, maxPromptTokens }: ItemStoreOptions,
): Promise<StoredItems> {
  const maxPending = Math.floor(
    (account?.promptTokenLimit(maxPromptTokens) ?? maxPromptTokens) * PENDING_FRACTION,
  );
  const found = head === null ? null : await store.inspect(head, { model });
  const previous = found && { snapshot: decodeSnapshot(found.turn), open: found.info.open };
  const codec = limitedCodec(
    tokenizer,
    2 * maxPending,
    () => tooLong(`more than ${2 * maxPending}`, maxPending),
  );
  const record = await appendMessages(previous, messages, codec);
  if (record.pending.length > maxPending) throw tooLong(`${record.pending.length}`, maxPending);
  const release = await account?.reserveStorage(1, describeModel(model).storedBytes);
  try {
    const earlier = previous?.snapshot.transcript ?? [];
    const from = record.earlier ? { after: record.earlier.hash } : { model: model.fingerprint };
    const hashes = await store.prefixes.prefixHashes(from, record.transcript.map(canonicalMessage));
    const history = found && await store.readHistory(found.info);
    const content = {
      state: found && await storedStateBytes(found.info, store, model),
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
    release?.();
  }
}

/** Returns the state's bytes in the encoding of finished turns. */
async function storedStateBytes(
  info: StateInfo,
  store: StateStore,
  model: SessionModel,
): Promise<Uint8Array | null> {
  const bytes = await store.readState(info);
  return bytes && info.open
    ? encodeForStorage(decodeState(bytes), { open: false, model }).bytes
    : bytes;
}

function tooLong(tokens: string, maxPending: number): InferenceError {
  return new InferenceError(
    "context_length_exceeded",
    `items: ${tokens} tokens would be pending for the next turn, the limit is ${maxPending}; ` +
      "send fewer or shorter messages, or run a turn in between",
    { param: "items", limit: "prompt_tokens" },
  );
}

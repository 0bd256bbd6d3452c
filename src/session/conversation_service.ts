/** Conversations as clients handle them: each points at a state of this worker's model. */

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

/** How often messages are added anew because the conversation was moved meanwhile. */
const ATTEMPTS = 8;

/** Conversations by their names. */
export class ConversationService implements ConversationApi {
  readonly #options: ItemStoreOptions;
  readonly #store: StateStore;

  /** A desk in front of a store, for one model. */
  constructor(options: ItemStoreOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /**
   * Begins one, from a state where there is one, with messages where there are some. Throws as
   * `StateStore.inspect`, and as `addItems`.
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
   * Adds messages to a conversation where it stands, for its next turn to read.
   *
   * @throws InferenceError as `get` and `StateStore.inspect`; `context_length_exceeded` for more than
   * a turn could read, or `storage_limit_exceeded` by the account
   */
  async addItems(
    id: string,
    items: readonly TranscriptEntry[],
    account?: TurnAccount,
  ): Promise<AddedItems> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const conversation = await this.get(id);
      const place = { head: conversation.head, conversation, account };
      const { state, precedingMessages: before } = await storeItems(items, place, this.#options);
      if (state.moved) return { precedingMessages: before, stateId: state.id };
      await this.#store.delete(state.id);
    }
    throw new InferenceError(
      "store_unavailable",
      `Cannot add items to conversation "${id}": it was moved ${ATTEMPTS} times meanwhile; try again`,
      { param: "items" },
    );
  }

  /**
   * Returns what a name leads to.
   *
   * @throws InferenceError `conversation_not_found`
   */
  get(id: string): Promise<Conversation> {
    return this.#store.conversations.get(id);
  }

  /**
   * A page of what was said until where it stands, without the instructions of the latest turn.
   * Throws as `get`, as `StateStore.inspect`, and what `take` throws.
   */
  async transcript(
    id: string,
    page: PageRequest,
    take?: ReserveMemory,
  ): Promise<TranscriptPage & { open: boolean }> {
    const { head } = await this.get(id);
    if (head === null) return { messages: [], total: 0, hasMore: false, open: false };
    const stored = await openTranscript(this.#store, head, take);
    const read = await readPage(this.#store, stored, { ...page, withoutInstructions: true });
    return { ...read, open: stored.info.open };
  }

  /** Throws as `get`, and as `create`. */
  async update(id: string, { stateId, metadata }: ConversationChange): Promise<Conversation> {
    if (stateId !== undefined) await this.#assertState(stateId);
    return await this.#store.conversations.update(id, {
      ...(stateId === undefined ? {} : { head: stateId }),
      ...(metadata === undefined ? {} : { metadata }),
    });
  }

  /** Its states stay. Throws as `get`. */
  delete(id: string): Promise<void> {
    return this.#store.conversations.delete(id);
  }

  async #assertState(id: string): Promise<void> {
    await this.#store.inspect(id, { model: this.#options.model });
  }
}

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

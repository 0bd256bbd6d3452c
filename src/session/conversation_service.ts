/** Conversations as clients handle them: each points at a state of this worker's model. */

import type { Conversation } from "../store/states/conversations.ts";
import { InferenceError } from "../core/errors.ts";
import type { StateStore } from "../store/states/state_store.ts";
import type { TranscriptEntry } from "../prompt/chat_template.ts";
import { type ItemStoreOptions, storeItems } from "./conversation_items.ts";
import type { ReserveMemory, TurnAccount } from "./session_types.ts";
import type {
  AddedItems,
  ConversationApi,
  ConversationChange,
  NewConversation,
  PageRequest,
  TranscriptPage,
} from "./session_api.ts";
import { openTranscript, readPage } from "./transcript.ts";

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

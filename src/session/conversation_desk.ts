/** Conversations as clients handle them: each points at a state of this worker's model. */

import type { Conversation, Metadata } from "../store/conversations.ts";
import type { StateStore } from "../store/state_store.ts";
import type { SessionModel, TakeBytes } from "./session_types.ts";
import { openTranscript, type PageRequest, readPage, type TranscriptPage } from "./transcript.ts";

/** What a conversation is to become. */
export interface ConversationChange {
  /** The state that it is to go on from. */
  stateId?: string | undefined;
  /** All of it, in place of what there was. */
  metadata?: Metadata | undefined;
}

/** Conversations by their names. */
export class ConversationDesk {
  readonly #store: StateStore;
  readonly #model: SessionModel;

  /** A desk in front of a store, for one model. */
  constructor(store: StateStore, model: SessionModel) {
    this.#store = store;
    this.#model = model;
  }

  /** Begins one, from a state where there is one. Throws as `StateStore.inspect`. */
  async create({ stateId, metadata = {} }: ConversationChange = {}): Promise<Conversation> {
    if (stateId !== undefined) await this.#assertState(stateId);
    return await this.#store.conversations.create({ head: stateId ?? null, metadata });
  }

  /** @throws InferenceError `conversation_not_found` */
  /** What a name leads to. */
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
    take?: TakeBytes,
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
    await this.#store.inspect(id, { model: this.#model });
  }
}

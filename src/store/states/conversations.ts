/**
 * Conversations: mutable pointers to immutable states. `[tenant, "conversation", id]` contains the
 * current state, the head. The atomic write that stores the next state also moves the head, but only
 * if it is unchanged since the turn started. If two workers continue the same head, one of them wins.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Backend, Check, Key, Mutation } from "../backends/backend.ts";
import { conversationsKey } from "../row_keys.ts";
import { damagedRow, decodeRow, isFields, isStringOrNull, isTime } from "../row_json.ts";
import { newId, type RandomBytes } from "./state_id.ts";

/** Metadata of clients: strings by name. */
export type Metadata = Readonly<Record<string, string>>;

/** The row of a conversation. */
export interface ConversationRow {
  /** Format version. */
  version: 1;
  /** The current state; `null` before the first turn. */
  head: string | null;
  /** Epoch milliseconds. */
  created: number;
  /** Metadata of the client. */
  metadata: Metadata;
  /** Epoch milliseconds; missing in older rows. */
  expires?: number | undefined;
}

/** A conversation at the time of a read or write. */
export interface Conversation extends Readonly<ConversationRow> {
  /** Id of the conversation. */
  readonly id: string;
  /** Version of the row, which is checked when the head moves. */
  readonly versionstamp: string;
}

export interface ConversationsOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  random: RandomBytes;
  /** Lifetime after the last change, in milliseconds. */
  ttl: number;
}

/** Attempts of a change while the conversation is moved concurrently. */
const ATTEMPTS = 8;

const CONVERSATION_ID = /^conv_[0-9a-f]{48}$/;

/** Conversations of one tenant, changed by compare-and-set. */
export class Conversations {
  readonly #options: ConversationsOptions;

  /** Creates the conversations of one tenant in a backend. */
  constructor(options: ConversationsOptions) {
    this.#options = options;
  }

  /** Creates a conversation, with or without a state. */
  async create(
    { head = null, metadata = {} }: { head?: string | null; metadata?: Metadata } = {},
  ): Promise<Conversation> {
    const { backend, now, random } = this.#options;
    const id = newId("conv_", random);
    const row: ConversationRow = { version: 1, head, created: now(), metadata };
    const versionstamp = await backend.atomic(
      [{ key: this.#key(id), versionstamp: null }],
      [this.#set(id, row)],
    );
    // A random id of 192 bits exists only if this write was applied and its response was lost.
    return versionstamp === null ? await this.get(id) : { ...row, id, versionstamp };
  }

  /**
   * Returns a conversation.
   *
   * @throws InferenceError `conversation_not_found` or `store_unavailable`
   */
  async get(id: string): Promise<Conversation> {
    const entry = CONVERSATION_ID.test(id) && await this.#options.backend.get(this.#key(id));
    if (!entry) {
      throw new InferenceError(
        "conversation_not_found",
        `Cannot find conversation ${JSON.stringify(id.slice(0, 80))}: no such id, or it was ` +
          "deleted or expired",
        { param: "conversation" },
      );
    }
    return { ...decodeConversation(entry.value, id), id, versionstamp: entry.versionstamp };
  }

  /** Changes head or metadata, retrying after concurrent changes. Throws the errors of `get`. */
  async update(
    id: string,
    change: { head?: string; metadata?: Metadata },
  ): Promise<Conversation> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = await this.get(id);
      const { head, created, metadata, expires = 0 } = before;
      const row: ConversationRow = { version: 1, head, created, metadata, ...change };
      const check = { key: this.#key(id), versionstamp: before.versionstamp };
      // A change never shortens the lifetime.
      const expireIn = Math.max(this.#options.ttl, expires - this.#options.now());
      const mutation = this.#set(id, row, expireIn);
      const versionstamp = await this.#options.backend.atomic([check], [mutation]);
      if (versionstamp !== null) return { ...row, id, versionstamp };
    }
    throw new InferenceError(
      "store_unavailable",
      `Cannot change conversation "${id}": it was changed ${ATTEMPTS} times concurrently; retry later`,
      { param: "conversation" },
    );
  }

  /** Deletes a conversation but not its states. Throws the errors of `get`. */
  async delete(id: string): Promise<void> {
    await this.get(id);
    await this.#options.backend.delete(this.#key(id));
  }

  /**
   * Returns the write that moves a conversation to the state `head`, which expires in `expireIn`
   * milliseconds, and the check that it is unchanged.
   */
  move(
    { id, versionstamp, created, metadata }: Conversation,
    head: string,
    expireIn: number,
  ): { check: Check; mutation: Mutation } {
    return {
      check: { key: this.#key(id), versionstamp },
      mutation: this.#set(id, { version: 1, head, created, metadata }, expireIn),
    };
  }

  /**
   * Returns the current conversation if it changed since `seen` but its head did not, and null
   * otherwise. Throws InferenceError `store_unavailable`.
   */
  async rereadIfUnmoved(seen: Conversation): Promise<Conversation | null> {
    try {
      const current = await this.get(seen.id);
      const changed = current.versionstamp !== seen.versionstamp;
      return changed && current.head === seen.head ? current : null;
    } catch (error) {
      if (error instanceof InferenceError && error.code === "conversation_not_found") return null;
      throw error;
    }
  }

  #set(id: string, row: ConversationRow, expireIn = this.#options.ttl): Mutation {
    const expires = this.#options.now() + expireIn;
    const value = new TextEncoder().encode(JSON.stringify({ ...row, expires }));
    return { type: "set", key: this.#key(id), value, expireIn };
  }

  #key(id: string): Key {
    return [...conversationsKey(this.#options.tenant), id];
  }
}

function decodeConversation(bytes: Uint8Array, id: string): ConversationRow {
  const options = { kind: `conversation "${id}"`, row: "it", param: "conversation" };
  const { head, created, metadata, expires } = decodeRow(bytes, options);
  if (isStringOrNull(head) && isTime(created) && isMetadata(metadata)) {
    return { version: 1, head, created, metadata, expires: isTime(expires) ? expires : undefined };
  }
  throw damagedRow("it lacks fields", options);
}

function isMetadata(value: unknown): value is Metadata {
  return isFields(value) && Object.values(value).every((text) => typeof text === "string");
}

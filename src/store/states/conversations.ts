/**
 * Conversations: names that may be moved, over states that never change. `[tenant, "conversation",
 * id]` says which state a conversation has come to. It is moved in the same atomic that stores the
 * next state, and only if it is where it was when the turn began: of two workers that answer the
 * same head at once, one wins.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Backend, Check, Key, Mutation } from "../backends/backend.ts";
import { conversationsKey } from "../row_keys.ts";
import { damagedRow, decodeRow, isFields, isStringOrNull, isTime } from "../row_json.ts";
import { newId, type RandomBytes } from "./state_id.ts";

/** Strings by name, as clients give them. */
export type Metadata = Readonly<Record<string, string>>;

/** What is stored of a conversation. */
export interface ConversationRow {
  /** Of the format. */
  version: 1;
  /** The state that it has come to; `null` before its first turn. */
  head: string | null;
  /** Epoch milliseconds. */
  created: number;
  /** As clients gave it. */
  metadata: Metadata;
  /** Epoch milliseconds; older rows do not say. */
  expires?: number | undefined;
}

/** A conversation as it stood when it was read or written. */
export interface Conversation extends Readonly<ConversationRow> {
  /** Its name. */
  readonly id: string;
  /** Of its row: whoever moves it says which one was read. */
  readonly versionstamp: string;
}

export interface ConversationsOptions {
  backend: Backend;
  tenant: string;
  now: () => number;
  random: RandomBytes;
  /** Milliseconds that a conversation lasts after it was moved or changed last. */
  ttl: number;
}

/** How often a change starts over when the conversation is moved under it. */
const ATTEMPTS = 8;

const CONVERSATION_ID = /^conv_[0-9a-f]{48}$/;

/** Names that move from state to state, by compare-and-set. */
export class Conversations {
  readonly #options: ConversationsOptions;

  /** Conversations of one tenant in a backend. */
  constructor(options: ConversationsOptions) {
    this.#options = options;
  }

  /** Makes a name, which leads to a state or to none yet. */
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
    // An id of 192 random bits is only taken by this write, tried again after its answer was lost.
    return versionstamp === null ? await this.get(id) : { ...row, id, versionstamp };
  }

  /** @throws InferenceError `conversation_not_found` or `store_unavailable` */
  /** What a name leads to. */
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
    return { ...conversationIn(entry.value, id), id, versionstamp: entry.versionstamp };
  }

  /** Changes what is given, whatever else happens to it meanwhile. Throws as `get`. */
  async update(
    id: string,
    change: { head?: string; metadata?: Metadata },
  ): Promise<Conversation> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = await this.get(id);
      const { head, created, metadata, expires = 0 } = before;
      const row: ConversationRow = { version: 1, head, created, metadata, ...change };
      const check = { key: this.#key(id), versionstamp: before.versionstamp };
      // A change lengthens the conversation's life, and never shortens it.
      const expireIn = Math.max(this.#options.ttl, expires - this.#options.now());
      const mutation = this.#set(id, row, expireIn);
      const versionstamp = await this.#options.backend.atomic([check], [mutation]);
      if (versionstamp !== null) return { ...row, id, versionstamp };
    }
    throw new InferenceError(
      "store_unavailable",
      `Cannot change conversation "${id}": it was moved ${ATTEMPTS} times meanwhile; try again`,
      { param: "conversation" },
    );
  }

  /** Its states stay. Throws as `get`. */
  async delete(id: string): Promise<void> {
    await this.get(id);
    await this.#options.backend.delete(this.#key(id));
  }

  /**
   * What moves a conversation to the state `head`, which lasts for `expireIn` milliseconds, and the
   * check that nobody else has moved it.
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
   * The conversation as it is now, if something other than its head has changed since `seen`; null if
   * it has moved, or is gone, or nothing has changed. Throws InferenceError `store_unavailable`.
   */
  async unmoved(seen: Conversation): Promise<Conversation | null> {
    try {
      const now = await this.get(seen.id);
      return now.head === seen.head && now.versionstamp !== seen.versionstamp ? now : null;
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

function conversationIn(bytes: Uint8Array, id: string): ConversationRow {
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

/** A conversation from the client's side: it keeps the id of the state that it has come to. */

import type { ChatStream, Reply } from "./chat_stream.ts";
import type { CallOptions, ChatMessage, StreamParams, TurnParams } from "./types.ts";

/** What a talk asks of its client. */
export interface ChatApi {
  /** One turn, its reply alone. */
  chat(params: StreamParams, options?: CallOptions): Promise<Reply>;
  /** One turn, its reply as it is written. */
  stream(params: StreamParams, options?: CallOptions): Promise<ChatStream>;
}

/** Where a talk begins. */
export interface ChatSessionOptions {
  /** The state to go on from. */
  stateId?: string | null | undefined;
  /** Read before the first message. */
  system?: string | undefined;
  /** How turns are taken unless they say otherwise. */
  params?: TurnParams | undefined;
}

/** What is said: a user's text, or messages. */
export type MessageInput = string | ChatMessage[];

/** One turn at a time; to answer the same place twice, `fork`. */
export class ChatSession {
  readonly #taker: ChatApi;
  readonly #options: ChatSessionOptions;
  #stateId: string | null;
  #stream: ChatStream | undefined;

  /** A talk of a client's; `client.conversation()` makes it. */
  constructor(taker: ChatApi, options: ChatSessionOptions = {}) {
    this.#taker = taker;
    this.#options = options;
    this.#stateId = options.stateId ?? null;
  }

  /** Where it stands: keep it, and go on later by `client.conversation({ stateId })`. */
  get stateId(): string | null {
    return this.#stream?.stateId ?? this.#stateId;
  }

  /** Says something and waits for the whole reply. A reply that was not stored moves nothing. */
  async send(said: MessageInput, params: TurnParams = {}, options?: CallOptions): Promise<Reply> {
    const reply = await this.#taker.chat(this.#turn(said, params), options);
    this.#move(reply.stateId);
    return reply;
  }

  /** Says something and gets the reply as it is written. */
  async stream(said: MessageInput, params: TurnParams = {}, options?: CallOptions): Promise<ChatStream> {
    const stream = await this.#taker.stream(this.#turn(said, params), options);
    this.#move(stream.stateId);
    this.#stream = stream;
    return stream;
  }

  /** Lets a reply that was cut short go on. */
  continueReply(params?: TurnParams, options?: CallOptions): Promise<Reply> {
    return this.send([], params, options);
  }

  /** Another one that stands where this one does. */
  fork(): ChatSession {
    return new ChatSession(this.#taker, { ...this.#options, stateId: this.stateId });
  }

  #turn(said: MessageInput, params: TurnParams): StreamParams {
    const { system } = this.#options;
    const messages = typeof said === "string" ? [{ role: "user" as const, content: said }] : said;
    const from = this.stateId;
    const first = from === null && system !== undefined
      ? [{ role: "system" as const, content: system }]
      : [];
    return {
      ...this.#options.params,
      ...params,
      messages: [...first, ...messages],
      state_id: from,
    };
  }

  #move(stateId: string | null): void {
    this.#stateId = stateId ?? this.stateId;
    this.#stream = undefined;
  }
}

/** A client-side conversation: it tracks the id of its current state. */

import type { ChatStream, Reply } from "./chat_stream.ts";
import type { CallOptions, ChatMessage, StreamParams, TurnParams } from "./types.ts";

/** The methods of the client that a chat session uses. */
export interface ChatApi {
  /** Creates a chat completion and returns its reply. */
  chat(params: StreamParams, options?: CallOptions): Promise<Reply>;
  /** Creates a chat completion and streams its reply. */
  stream(params: StreamParams, options?: CallOptions): Promise<ChatStream>;
}

/** The start of a chat session. */
export interface ChatSessionOptions {
  /** The state to resume. */
  stateId?: string | null | undefined;
  /** The system prompt, sent before the first message. */
  system?: string | undefined;
  /** The default parameters of each turn. */
  params?: TurnParams | undefined;
}

/** A user's text, or messages. */
export type MessageInput = string | ChatMessage[];

/** Runs one turn at a time. Use `fork` to continue one state in several ways. */
export class ChatSession {
  readonly #client: ChatApi;
  readonly #options: ChatSessionOptions;
  #stateId: string | null;
  #stream: ChatStream | undefined;

  /** Creates a session. Use `client.conversation()` instead. */
  constructor(client: ChatApi, options: ChatSessionOptions = {}) {
    this.#client = client;
    this.#options = options;
    this.#stateId = options.stateId ?? null;
  }

  /** The current state. To resume later, pass it to `client.conversation({ stateId })`. */
  get stateId(): string | null {
    return this.#stream?.stateId ?? this.#stateId;
  }

  /** Sends a message and returns the reply. The state stays the same if the reply was not stored. */
  async send(input: MessageInput, params: TurnParams = {}, options?: CallOptions): Promise<Reply> {
    const reply = await this.#client.chat(this.#buildRequest(input, params), options);
    this.#moveTo(reply.stateId);
    return reply;
  }

  /** Sends a message and streams the reply. */
  async stream(
    input: MessageInput,
    params: TurnParams = {},
    options?: CallOptions,
  ): Promise<ChatStream> {
    const stream = await this.#client.stream(this.#buildRequest(input, params), options);
    this.#moveTo(stream.stateId);
    this.#stream = stream;
    return stream;
  }

  /** Continues an incomplete reply. */
  continueReply(params?: TurnParams, options?: CallOptions): Promise<Reply> {
    return this.send([], params, options);
  }

  /** Creates another session with the same state. */
  fork(): ChatSession {
    return new ChatSession(this.#client, { ...this.#options, stateId: this.stateId });
  }

  #buildRequest(input: MessageInput, params: TurnParams): StreamParams {
    const { system } = this.#options;
    const messages = typeof input === "string"
      ? [{ role: "user" as const, content: input }]
      : input;
    const { stateId } = this;
    const prefix = stateId === null && system !== undefined
      ? [{ role: "system" as const, content: system }]
      : [];
    return {
      ...this.#options.params,
      ...params,
      messages: [...prefix, ...messages],
      state_id: stateId,
    };
  }

  #moveTo(stateId: string | null): void {
    this.#stateId = stateId ?? this.stateId;
    this.#stream = undefined;
  }
}

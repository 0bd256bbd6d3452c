/** A streamed reply: yields its text, and has the id of its state. */

import { ApiError, toApiError } from "./api_error.ts";
import { parseChatEvent } from "./chat_event.ts";
import { readEventData } from "./event_stream.ts";
import type { ChatUsage } from "./types.ts";

/** A complete reply. */
export interface Reply {
  /** The text that this turn generated. */
  text: string;
  /** The state after the reply; `null` if it could not be stored (see `warning`). */
  stateId: string | null;
  /** `length`: the reply is incomplete; resume the state without messages to continue it. */
  finishReason: "stop" | "length";
  /** The numbers of tokens. */
  usage: ChatUsage;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/**
 * Iterates over the text once. Leaving the loop early cancels the turn, whose state can be resumed.
 */
export class ChatStream implements AsyncIterable<string> {
  readonly #response: Response;
  #stateId: string | null;
  #reply: Reply | undefined;
  #started = false;

  /** Reads a response with server-sent events. `client.stream()` creates it. */
  constructor(response: Response) {
    this.#response = response;
    this.#stateId = response.headers.get("x-state-id");
  }

  /** A state that can be resumed at any time; after the last chunk, the state of the complete reply. */
  get stateId(): string | null {
    return this.#stateId;
  }

  /**
   * Returns the complete reply. Reads the stream unless it was iterated over already.
   *
   * @throws ApiError if the stream was interrupted
   */
  async reply(): Promise<Reply> {
    if (!this.#started) { for await (const _ of this); }
    if (this.#reply === undefined) throw this.#interrupted();
    return this.#reply;
  }

  /**
   * Yields the text in chunks.
   *
   * @throws ApiError if the worker reports an error or the stream is interrupted
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    if (this.#started) throw new Error("Cannot iterate over the stream: it was read already");
    this.#started = true;
    let text = "";
    let last: Pick<Reply, "stateId" | "finishReason" | "warning"> | undefined;
    let usage: ChatUsage | undefined;
    for await (const data of readEventData(this.#response.body)) {
      if (data === "[DONE]") {
        if (last === undefined || usage === undefined) throw this.#interrupted();
        this.#stateId = last.stateId;
        this.#reply = { text, usage, ...last };
        return;
      }
      const event = parseChatEvent(data);
      if (event === null) throw this.#invalidEvent();
      if ("error" in event) throw toApiError(event, this.#response);
      usage = event.usage ?? usage;
      const choice = event.choices[0];
      if (choice === undefined) continue;
      if (choice.finish_reason !== null) {
        last = {
          stateId: choice.state_id ?? null,
          finishReason: choice.finish_reason,
          warning: choice.warning,
        };
      }
      const { content = "" } = choice.delta;
      text += content;
      if (content !== "") yield content;
    }
    throw this.#interrupted();
  }

  #interrupted(): ApiError {
    const message = "The reply was interrupted; resume its state with an empty list of messages";
    return this.#error(message, "broken_off");
  }

  #invalidEvent(): ApiError {
    return this.#error("Cannot parse the stream: an event has an unknown format", "unknown");
  }

  #error(message: string, code: string): ApiError {
    return new ApiError(message, {
      status: this.#response.status,
      code,
      stateId: this.#stateId,
      requestId: this.#response.headers.get("x-request-id"),
    });
  }
}

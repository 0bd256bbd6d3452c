/** A reply as it is written: its text piece by piece, and where it has led to. */

import { ApiError, toApiError } from "./api_error.ts";
import { parseChatEvent } from "./chat_event.ts";
import { readEventData } from "./event_data.ts";
import type { ChatUsage } from "./types.ts";

/** A reply, all of it. */
export interface Reply {
  /** What this turn added to the reply. */
  text: string;
  /** The state after it; `null` where it could not be stored, as `warning` tells. */
  stateId: string | null;
  /** `length`: cut short; the reply goes on when the state is resumed without a message. */
  finishReason: "stop" | "length";
  /** Tokens read and written. */
  usage: ChatUsage;
  /** Why the state could not be stored. */
  warning?: string | undefined;
}

/** Iterates over the text, once. To leave the loop ends the turn, which can be resumed. */
export class ChatStream implements AsyncIterable<string> {
  readonly #response: Response;
  #stateId: string | null;
  #reply: Reply | undefined;
  #begun = false;

  /** A reply out of an answer with server-sent events; clients make it. */
  constructor(response: Response) {
    this.#response = response;
    this.#stateId = response.headers.get("x-state-id");
  }

  /** Resumes from the start on, whatever happens; at the end, the state after the reply. */
  get stateId(): string | null {
    return this.#stateId;
  }

  /**
   * The reply once it is whole, whether its text was iterated over or is read here.
   *
   * @throws ApiError where it broke off
   */
  async reply(): Promise<Reply> {
    if (!this.#begun) { for await (const _ of this); }
    if (this.#reply === undefined) throw this.#brokenOff();
    return this.#reply;
  }

  /**
   * The text, piece by piece.
   *
   * @throws ApiError where the worker tells of an error, or the stream breaks off
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    if (this.#begun) throw new Error("A stream's text can be read once");
    this.#begun = true;
    let text = "";
    let last: Pick<Reply, "stateId" | "finishReason" | "warning"> | undefined;
    let usage: ChatUsage | undefined;
    for await (const data of readEventData(this.#response.body)) {
      if (data === "[DONE]") {
        if (last === undefined || usage === undefined) throw this.#brokenOff();
        this.#stateId = last.stateId;
        this.#reply = { text, usage, ...last };
        return;
      }
      const event = parseChatEvent(data);
      if (event === null) throw this.#notUnderstood();
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
    throw this.#brokenOff();
  }

  #brokenOff(): ApiError {
    const message = "The reply broke off; resume its state with an empty list of messages";
    return this.#error(message, "broken_off");
  }

  #notUnderstood(): ApiError {
    return this.#error("What came is no part of a worker's reply", "unknown");
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

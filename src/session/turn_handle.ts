/** A turn under way, as a client sees it: text as it comes, and how it ended. */

import type { Turn } from "./session_api.ts";
import type { TurnEvent, TurnResult } from "./session_types.ts";

export interface TurnOptions {
  id: string;
  /** Epoch milliseconds. */
  created: number;
  finalStateId: string;
  stateId: string | null;
  events: EventQueue;
  result: Promise<TurnResult>;
  cancel: () => void;
}

/** A turn under way. */
export class TurnHandle implements Turn {
  /** 48 hexadecimal digits. */
  readonly id: string;
  /** Epoch milliseconds. */
  readonly created: number;
  /** Id of the state that the turn leads to, if that is stored. */
  readonly finalStateId: string;
  /** Id of the state that the turn leads to, where that can be resumed from now on. */
  readonly stateId: string | null;
  readonly #options: TurnOptions;

  /** A turn that the sessions have begun. */
  constructor(options: TurnOptions) {
    this.id = options.id;
    this.created = options.created;
    this.finalStateId = options.finalStateId;
    this.stateId = options.stateId;
    this.#options = options;
  }

  /** Text as it comes, then the end, once the state is stored. For one consumer. */
  events(): AsyncIterable<TurnEvent> {
    return this.#options.events;
  }

  /** The whole turn, once the state is stored. */
  result(): Promise<TurnResult> {
    return this.#options.result;
  }

  /** Ends the turn within one token. A streamed one is stored as far as it went. */
  cancel(): void {
    this.#options.cancel();
  }
}

/** Events on their way to the one who iterates over them. */
export class EventQueue implements AsyncIterable<TurnEvent> {
  readonly #waiting: TurnEvent[] = [];
  #unreadTokens = 0;
  #ended = false;
  #failure: { error: unknown } | null = null;
  #wake: () => void = () => {};

  /** Tokens that are told of in events which nobody has read. */
  get unreadTokens(): number {
    return this.#unreadTokens;
  }

  push(event: TurnEvent): void {
    this.#waiting.push(event);
    this.#unreadTokens += tokensOf(event);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TurnEvent> {
    while (true) {
      for (let event = this.#waiting.shift(); event; event = this.#waiting.shift()) {
        this.#unreadTokens -= tokensOf(event);
        yield event;
      }
      if (this.#ended) break;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#failure !== null) throw this.#failure.error;
  }
}

function tokensOf(event: TurnEvent): number {
  return event.type === "text" ? event.tokens?.length ?? 0 : 0;
}

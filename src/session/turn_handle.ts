/** A turn under way, as a client sees it: text as it comes, and how it ended. */

import type { Turn } from "./session_api.ts";
import type { TextToken, TokenProbability, TurnEvent, TurnResult } from "./session_types.ts";
import type { TokenLogprobs } from "../core/sampling.ts";
import type { TokenCodec } from "../prompt/reply.ts";

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

/** A turn, as far as others have to do with it. */
export interface TrackedTurn {
  /** The state that it leads to. */
  readonly stateId: string;
  /** Resolves when it has ended, however that was. */
  readonly done: Promise<void>;
  /** Aborted when it was cut short. */
  readonly signal: AbortSignal;
  /** Ends it as far as it went. */
  cancel(why: "interrupted"): void;
}

/** Turns, and what goes on beside them. */
export class ActiveTurns {
  readonly #turns = new Map<string, TrackedTurn>();
  readonly #chores = new Set<Promise<void>>();

  /** Holds a turn of a tenant until it has ended. */
  add(tenant: string, turn: TrackedTurn): void {
    const name = nameOf(tenant, turn.stateId);
    this.#turns.set(name, turn);
    turn.done.then(() => this.#turns.delete(name));
  }

  /** Waits for the turn that leads to a tenant's state, if it has been cut and is being stored. */
  async waitIfCancelled(tenant: string, stateId: string): Promise<void> {
    const turn = this.#turns.get(nameOf(tenant, stateId));
    if (turn?.signal.aborted) await turn.done;
  }

  /** Holds work that nobody waits for now; what fails of it is its own to tell. */
  runInBackground(work: Promise<unknown>): void {
    const chore = work.then(() => {}, () => {}).finally(() => this.#chores.delete(chore));
    this.#chores.add(chore);
  }

  /** Resolves when every turn has ended and is stored, and all work beside is done. */
  async settled(): Promise<void> {
    await Promise.all([...this.#turns.values()].map(({ done }) => done));
    await Promise.all(this.#chores);
  }

  /** Ends every turn: each is stored as far as it went, and its client told so. */
  interrupt(): void {
    for (const turn of this.#turns.values()) turn.cancel("interrupted");
  }
}

/** No tenant's name has a slash. */
function nameOf(tenant: string, stateId: string): string {
  return `${tenant}/${stateId}`;
}

export class TokenLog {
  readonly #tokenizer: TokenCodec;
  /** Tokens whose text has not been shown, with where it ends in the bytes that have come. */
  readonly #waiting: { told: TextToken; end: number }[] = [];
  #bytes: number;

  /** @param before Bytes that came before and are still to be shown. */
  constructor(tokenizer: TokenCodec, before: number) {
    this.#tokenizer = tokenizer;
    this.#bytes = before;
  }

  /** Takes a token that was sampled. */
  push(token: number, { logprob, top }: TokenLogprobs): void {
    const told = this.#chance(token, logprob);
    this.#bytes += told.bytes.length;
    const likely = top.map(({ token, logprob }) => this.#chance(token, logprob));
    this.#waiting.push({ told: { ...told, top: likely }, end: this.#bytes });
  }

  /** The tokens that have been shown and not told, where `seen` bytes have been shown. */
  take(seen: number): TextToken[] {
    const count = this.#waiting.findIndex(({ end }) => end > seen);
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)
      .map(({ told }) => told);
  }

  #chance(token: number, logprob: number): TokenProbability {
    return { token, bytes: this.#tokenizer.tokenBytes(token) ?? new Uint8Array(), logprob };
  }
}

/**
 * The handle and the events of a running turn for its client, and the registry of all running
 * turns.
 */

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

/** A running turn, for its client. */
export class TurnHandle implements Turn {
  /** 48 hexadecimal digits. */
  readonly id: string;
  /** Epoch milliseconds. */
  readonly created: number;
  /** Id of the final state, if it is stored. */
  readonly finalStateId: string;
  /** Id of the final state, if it can be resumed already. */
  readonly stateId: string | null;
  readonly #options: TurnOptions;

  /** Creates the handle of a started turn. */
  constructor(options: TurnOptions) {
    this.id = options.id;
    this.created = options.created;
    this.finalStateId = options.finalStateId;
    this.stateId = options.stateId;
    this.#options = options;
  }

  /** Yields text as it is generated, then the end, once the state is stored. For one consumer. */
  events(): AsyncIterable<TurnEvent> {
    return this.#options.events;
  }

  /** Resolves with the whole turn, once the state is stored. */
  result(): Promise<TurnResult> {
    return this.#options.result;
  }

  /** Cancels the turn within one token. A streamed turn is stored as far as it was generated. */
  cancel(): void {
    this.#options.cancel();
  }
}

/** An async queue of events for one consumer. */
export class EventQueue implements AsyncIterable<TurnEvent> {
  readonly #waiting: TurnEvent[] = [];
  #unreadTokens = 0;
  #ended = false;
  #failure: { error: unknown } | null = null;
  #wake: () => void = () => {};

  /** Number of tokens in events that were not consumed yet. */
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

/** The fields of a running turn that the registry needs. */
export interface TrackedTurn {
  /** Id of the final state. */
  readonly stateId: string;
  /** Resolves when the turn has ended for any reason. */
  readonly done: Promise<void>;
  /** Aborted when the turn is cancelled. */
  readonly signal: AbortSignal;
  /** Ends the turn with the reply so far. */
  cancel(why: "interrupted"): void;
}

/**
 * Registry of running turns and background work of all tenants, to wait for them or to cancel them.
 */
export class ActiveTurns {
  readonly #turns = new Map<string, TrackedTurn>();
  readonly #backgroundWork = new Set<Promise<void>>();

  /** Registers a turn of a tenant until it has ended. */
  add(tenant: string, turn: TrackedTurn): void {
    const name = nameOf(tenant, turn.stateId);
    this.#turns.set(name, turn);
    turn.done.then(() => this.#turns.delete(name));
  }

  /** Waits for the turn that leads to a tenant's state if it is cancelled and being stored. */
  async waitIfCancelled(tenant: string, stateId: string): Promise<void> {
    const turn = this.#turns.get(nameOf(tenant, stateId));
    if (turn?.signal.aborted) await turn.done;
  }

  /** Registers background work. Its errors are ignored here. */
  runInBackground(work: Promise<unknown>): void {
    const settled = work.then(() => {}, () => {})
      .finally(() => this.#backgroundWork.delete(settled));
    this.#backgroundWork.add(settled);
  }

  /** Resolves when all turns have ended and are stored, and all background work is done. */
  async settled(): Promise<void> {
    await Promise.all([...this.#turns.values()].map(({ done }) => done));
    await Promise.all(this.#backgroundWork);
  }

  /** Ends all turns. Each is stored as far as it was generated, and its client gets an error. */
  interrupt(): void {
    for (const turn of this.#turns.values()) turn.cancel("interrupted");
  }
}

/** Tenant names contain no slash. */
function nameOf(tenant: string, stateId: string): string {
  return `${tenant}/${stateId}`;
}

export class TokenLog {
  readonly #tokenizer: TokenCodec;
  /**
   * Tokens that are not displayed completely, each with the offset of its end in the reply's bytes.
   */
  readonly #waiting: { token: TextToken; end: number }[] = [];
  #bytes: number;

  /**
   * Creates a log.
   *
   * @param before Number of undisplayed bytes of an earlier turn.
   */
  constructor(tokenizer: TokenCodec, before: number) {
    this.#tokenizer = tokenizer;
    this.#bytes = before;
  }

  /** Adds a sampled token. */
  push(token: number, { logprob, top }: TokenLogprobs): void {
    const sampled = this.#probability(token, logprob);
    this.#bytes += sampled.bytes.length;
    const alternatives = top.map(({ token, logprob }) => this.#probability(token, logprob));
    this.#waiting.push({ token: { ...sampled, top: alternatives }, end: this.#bytes });
  }

  /** Removes and returns the tokens within the first `displayed` bytes. */
  take(displayed: number): TextToken[] {
    const count = this.#waiting.findIndex(({ end }) => end > displayed);
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)
      .map(({ token }) => token);
  }

  #probability(token: number, logprob: number): TokenProbability {
    return { token, bytes: this.#tokenizer.tokenBytes(token) ?? new Uint8Array(), logprob };
  }
}

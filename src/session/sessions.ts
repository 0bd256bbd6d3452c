/**
 * Conversations: turns that start from a stored state or from none, and lead to a new one.
 *
 * A streamed turn's state exists from its start, with the prompt still to be read, so that the id
 * in the response's header resumes whatever happens to this process; when the turn ends, the state
 * is replaced by what it came to. A turn that is not streamed is stored when it is complete.
 */

import { InferenceError } from "../core/errors.ts";
import { PLAIN_SAMPLING } from "../core/sampling.ts";
import type { FinishedTurn, Generation, TurnRunner } from "../scheduler/scheduler_types.ts";
import { decodeState, encodeState } from "../store/state_codec.ts";
import { newId, type RandomBytes, randomBytes } from "../store/state_id.ts";
import type { LoadedState, StateInfo, StateStore } from "../store/state_store.ts";
import { Reply, type TokenCodec } from "./reply.ts";
import type {
  Sampling,
  SessionModel,
  StateDescription,
  TurnRequest,
  TurnResult,
} from "./session_types.ts";
import { EventQueue, Turn } from "./turn.ts";
import { planTurn } from "./turn_plan.ts";
import { decodeRecord, encodeRecord, type TurnRecord } from "./turn_record.ts";

export interface SessionLimits {
  /** Tokens that one request may give to read. */
  promptTokens: number;
  /** Tokens that one turn may sample; a larger wish is cut to this. */
  maxTokens: number;
  /** Tokens that a turn samples at most where the request does not say. */
  defaultMaxTokens: number;
  /** Seconds after which a turn ends as it is, as if it had reached its limit. */
  turnSeconds: number;
}

export interface SessionsOptions {
  runner: TurnRunner;
  store: StateStore;
  tokenizer: TokenCodec;
  model: SessionModel;
  limits?: Partial<SessionLimits> | undefined;
  /** Sampling where the request does not say. */
  sampling?: Partial<Sampling> | undefined;
  /** Epoch milliseconds. */
  clock?: (() => number) | undefined;
  random?: RandomBytes | undefined;
}

const LIMITS: SessionLimits = {
  promptTokens: 32_768,
  maxTokens: 32_768,
  defaultMaxTokens: 512,
  turnSeconds: 600,
};

/** How often a turn starts over because the state it resumes was replaced meanwhile. */
const ATTEMPTS = 5;

/** A turn as this process runs it. */
interface RunningTurn {
  stateId: string;
  plan: TurnRecord;
  reply: Reply;
  counts: Map<number, number>;
  generation: Generation;
  events: EventQueue;
  parent: string | null;
  /** The state as it stands in the store meanwhile; `null` for a turn that is not streamed. */
  begun: StateInfo | null;
}

export class Sessions {
  readonly model: SessionModel;
  readonly #options: SessionsOptions;
  readonly #limits: SessionLimits;
  readonly #clock: () => number;
  readonly #random: RandomBytes;
  /** By the id of the state that they lead to. */
  readonly #running = new Map<string, { controller: AbortController; done: Promise<void> }>();

  constructor(options: SessionsOptions) {
    this.model = options.model;
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#clock = options.clock ?? Date.now;
    this.#random = options.random ?? randomBytes;
  }

  /**
   * Starts a turn. A `signal` cancels it, as `Turn.cancel` does.
   *
   * @throws InferenceError `invalid_value`, `context_length_exceeded`, what `StateStore.load`
   * throws, `overloaded`, `shutting_down` or `cancelled`
   */
  async start(request: TurnRequest, signal?: AbortSignal): Promise<Turn> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const turn = await this.#start(request, signal);
      if (turn !== null) return turn;
    }
    throw new InferenceError(
      "store_unavailable",
      `Cannot resume state "${request.stateId}": it changed ${ATTEMPTS} times meanwhile`,
      { param: "state_id" },
    );
  }

  /** @throws InferenceError as `StateStore.inspect` does */
  async describe(id: string): Promise<StateDescription> {
    await this.#cutShort(id);
    const { info, turn } = await this.#options.store.inspect(id);
    const record = decodeRecord(turn);
    return {
      id,
      model: info.model,
      created: info.created,
      expires: info.expires,
      bytes: (info.state?.bytes ?? 0) + info.turn.bytes,
      open: info.open,
      tokens: record.absorbed,
      pendingTokens: record.pending.length,
      transcript: record.transcript,
    };
  }

  /** @throws InferenceError `state_not_found` or `store_unavailable` */
  delete(id: string): Promise<void> {
    return this.#options.store.delete(id);
  }

  /** Resolves when every turn under way has ended and is stored. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Cancels every turn under way: those that are streamed are stored as far as they went. */
  interrupt(): void {
    for (const { controller } of this.#running.values()) controller.abort();
  }

  /** @returns `null` if the state that is resumed was replaced meanwhile. */
  async #start(request: TurnRequest, signal: AbortSignal | undefined): Promise<Turn | null> {
    const { runner, store, tokenizer, model } = this.#options;
    const parent = request.stateId === undefined ? null : await this.#resume(request.stateId);
    const plan = planTurn(
      parent && { record: decodeRecord(parent.turn), open: parent.open },
      request.messages,
      { tokenizer, seed: request.seed, freshSeed: () => this.#freshSeed() },
    );
    if (request.messages.length > 0) this.#assertFits(plan);
    if (signal?.aborted) throw cancelled();

    const controller = new AbortController();
    const cancel = () => controller.abort();
    signal?.addEventListener("abort", cancel, { once: true });
    const { transcript, held } = plan;
    const text = transcript[transcript.length - 1].content;
    const reply = new Reply(tokenizer, { stop: request.stop, text, held });
    const events = new EventQueue();
    const counts = new Map(plan.counts);
    const generation = runner.submit({
      state: parent?.state ? decodeState(parent.state) : null,
      tokens: plan.pending,
      sampling: { ...this.#sampling(request), seed: plan.seed },
      counts,
      position: plan.position,
      maxTokens: Math.min(
        request.maxTokens ?? this.#limits.defaultMaxTokens,
        this.#limits.maxTokens,
      ),
      endToken: tokenizer.endOfText,
      stops: reply.stops,
      within: this.#limits.turnSeconds * 1000,
      signal: controller.signal,
    });
    generation.finished.catch(() => {}); // whoever awaits it below may not get that far

    const stateId = store.newId();
    let begun: StateInfo | null = null;
    if (request.stream) {
      try {
        const options = { id: stateId, model };
        begun = await store.begin(parent?.info ?? null, encodeRecord(plan), options);
      } finally {
        if (begun === null) cancel();
      }
      if (begun === null) return null;
    }

    const running: RunningTurn = {
      stateId,
      plan,
      reply,
      counts,
      generation,
      events,
      parent: parent?.info.id ?? null,
      begun,
    };
    const result = this.#finish(running);
    const done = result.then(() => {}, () => {}).finally(() => {
      signal?.removeEventListener("abort", cancel);
      this.#running.delete(stateId);
    });
    this.#running.set(stateId, { controller, done });
    return new Turn({
      id: newId("", this.#random),
      created: this.#clock(),
      stateId,
      events,
      result,
      cancel,
    });
  }

  /** Waits for the turn that leads to `id`, if it has been cancelled here and is being stored. */
  async #cutShort(id: string): Promise<void> {
    const running = this.#running.get(id);
    if (running?.controller.signal.aborted) await running.done;
  }

  async #resume(id: string): Promise<LoadedState> {
    await this.#cutShort(id);
    return await this.#options.store.load(id, { model: this.model });
  }

  /** Waits for a turn's end, stores what it came to, and says so. */
  async #finish(turn: RunningTurn): Promise<TurnResult> {
    const { events, plan, reply, begun, stateId } = turn;
    try {
      for await (const tokens of turn.generation) {
        show(events, tokens.map((token) => reply.push(token)).join(""));
      }
      const finished = await turn.generation.finished;
      if (finished.reason === "cancelled" && begun === null) throw cancelled();
      if (finished.reason !== "stop") show(events, reply.cut());
      const { store, model } = this.#options;
      const content = contentOf(turn, finished);
      if (begun !== null) await store.commit(begun, content);
      else await store.save(content, { id: stateId, model, parent: turn.parent });
      const read = plan.absorbed + plan.pending.length;
      const end = {
        finishReason: finished.reason === "stop" ? "stop" as const : "length" as const,
        usage: {
          prompt_tokens: read,
          completion_tokens: finished.sampled,
          total_tokens: read + finished.sampled,
          prompt_tokens_details: { cached_tokens: plan.absorbed },
        },
        stateId,
      };
      events.push({ type: "end", ...end });
      events.end();
      const before = plan.transcript[plan.transcript.length - 1].content;
      return { ...end, text: reply.text.slice(before.length) };
    } catch (error) {
      events.fail(error);
      throw error;
    }
  }

  #sampling(request: TurnRequest): Sampling {
    const sampling = { ...PLAIN_SAMPLING, ...this.#options.sampling, ...request.sampling };
    for (const id of sampling.logitBias.keys()) {
      if (id < this.model.vocabulary) continue;
      throw new InferenceError(
        "invalid_value",
        `logit_bias: token ${id} does not exist, ids are below ${this.model.vocabulary}`,
        { param: "logit_bias" },
      );
    }
    return sampling;
  }

  #assertFits({ pending }: TurnRecord): void {
    if (pending.length <= this.#limits.promptTokens) return;
    throw new InferenceError(
      "context_length_exceeded",
      `messages: the prompt has ${pending.length} tokens, one request may have at most ` +
        `${this.#limits.promptTokens}; send it in parts, resuming with state_id`,
      { param: "messages" },
    );
  }

  #freshSeed(): bigint {
    return BigInt(`0x${this.#random(8).toHex()}`);
  }
}

function show(events: EventQueue, text: string): void {
  if (text !== "") events.push({ type: "text", text });
}

/** What is stored of a turn that has ended. */
function contentOf({ plan, reply, counts }: RunningTurn, finished: FinishedTurn) {
  const open = finished.reason !== "stop";
  const record: TurnRecord = {
    pending: open ? finished.pending : reply.close(finished.pending),
    absorbed: plan.absorbed + plan.pending.length + finished.sampled - finished.pending.length,
    position: plan.position + finished.sampled,
    seed: plan.seed,
    counts,
    held: open ? reply.held : new Uint8Array(),
    transcript: [...plan.transcript.slice(0, -1), { role: "assistant", content: reply.text }],
  };
  return { state: encodeState(finished.state), turn: encodeRecord(record), open };
}

function cancelled(): InferenceError {
  return new InferenceError("cancelled", "The client has gone");
}

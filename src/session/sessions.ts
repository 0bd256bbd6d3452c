/**
 * Conversations: turns that start from a stored state or from none, and lead to a new one.
 *
 * A streamed turn's state exists from its start, with the prompt still to be read, so that the id
 * in the response's header resumes whatever happens to this process; when the turn ends, the state
 * is replaced by what it came to. A turn that is not streamed is stored when it is complete.
 */

import { InferenceError } from "../core/errors.ts";
import type { StateSource, TurnRunner } from "../scheduler/scheduler_types.ts";
import { decodeState } from "../store/state_codec.ts";
import { newId, type RandomBytes, randomBytes } from "../store/state_id.ts";
import type { InspectedState, StateInfo, StateStore } from "../store/state_store.ts";
import { Reply, type TokenCodec } from "./reply.ts";
import { RunningTurn, type TurnUnderway } from "./running_turn.ts";
import type { Sampling, SessionModel, StateDescription, TurnRequest } from "./session_types.ts";
import { Turn } from "./turn.ts";
import { planTurn } from "./turn_plan.ts";
import { decodeRecord, encodeRecord, type TurnRecord } from "./turn_record.ts";
import {
  assertFits,
  DEFAULT_LIMITS,
  type SessionLimits,
  turnWork,
  type TurnWorkOptions,
} from "./turn_work.ts";

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

/** How often a turn starts over because the state it resumes was replaced meanwhile. */
const ATTEMPTS = 5;

export class Sessions {
  readonly model: SessionModel;
  readonly #runner: TurnRunner;
  readonly #store: StateStore;
  readonly #work: TurnWorkOptions;
  readonly #clock: () => number;
  readonly #random: RandomBytes;
  /** By the id of the state that they lead to. */
  readonly #running = new Map<string, RunningTurn>();

  constructor({ runner, store, tokenizer, model, limits, sampling, ...rest }: SessionsOptions) {
    this.model = model;
    this.#runner = runner;
    this.#store = store;
    this.#work = {
      tokenizer,
      limits: { ...DEFAULT_LIMITS, ...limits },
      vocabulary: model.vocabulary,
      sampling,
    };
    this.#clock = rest.clock ?? Date.now;
    this.#random = rest.random ?? randomBytes;
  }

  /**
   * Starts a turn. A `signal` cancels it, as `Turn.cancel` does.
   *
   * @throws InferenceError `invalid_value`, `context_length_exceeded`, what `StateStore.load`
   * throws, `overloaded`, `shutting_down` or `cancelled`
   */
  async start(request: TurnRequest, signal?: AbortSignal): Promise<Turn> {
    return (await this.startAll(request, 1, signal))[0];
  }

  /**
   * Starts `choices` turns from one request, whose prompt is read once: each has a seed of its own,
   * the first one that of the request, and leads to a state of its own. Throws as `start`.
   */
  async startAll(request: TurnRequest, choices: number, signal?: AbortSignal): Promise<Turn[]> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const turns = await this.#start(request, choices, signal);
      if (turns !== null) return turns;
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
    const { info, turn } = await this.#store.inspect(id);
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
    return this.#store.delete(id);
  }

  /** Resolves when every turn under way has ended and is stored. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Ends every turn under way: each is stored as far as it went, and its client told so. */
  interrupt(): void {
    for (const turn of this.#running.values()) turn.cut("interrupted");
  }

  /** @returns `null` if the state that is resumed was replaced meanwhile. */
  async #start(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[] | null> {
    const parent = request.stateId === undefined ? null : await this.#resume(request.stateId);
    const { tokenizer, limits } = this.#work;
    const plan = planTurn(
      parent && { record: decodeRecord(parent.turn), open: parent.info.open },
      request.messages,
      { tokenizer, seed: request.seed, freshSeed: () => this.#freshSeed() },
    );
    if (request.messages.length > 0) assertFits(plan, limits);
    if (signal?.aborted) throw new InferenceError("cancelled", "The client has gone");

    const turns = Array.from({ length: choices }, (_, i) => this.#prepare(request, plan, i));
    for (const turn of turns) this.#watch(turn, signal);
    let started: Turn[] | null = null;
    try {
      started = await this.#submit(request, turns, parent?.info ?? null);
    } finally {
      if (started === null) { for (const turn of turns) turn.abandon(); }
    }
    return started;
  }

  /** @returns `null` if the parent was replaced meanwhile. */
  async #submit(
    request: TurnRequest,
    turns: readonly RunningTurn[],
    parent: StateInfo | null,
  ): Promise<Turn[] | null> {
    const state = parent && this.#sourceOf(parent);
    const generations = this.#runner.submitAll(
      turns.map((turn) => ({ ...turnWork(request, turn, this.#work), state })),
    );
    // Whoever awaits them below may not get that far.
    for (const { finished } of generations) finished.catch(() => {});
    const begun = request.stream ? await this.#begin(turns, parent) : turns.map(() => null);
    return begun && turns.map((turn, i) =>
      this.#run(turn, {
        generation: generations[i],
        begun: begun[i],
        parent,
        store: this.#store,
        model: this.model,
      })
    );
  }

  #prepare(request: TurnRequest, plan: TurnRecord, choice: number): RunningTurn {
    const { transcript, held, counts } = plan;
    const text = transcript[transcript.length - 1].content;
    return new RunningTurn({
      stateId: this.#store.newId(),
      plan: { ...plan, seed: BigInt.asUintN(64, plan.seed + BigInt(choice)) },
      reply: new Reply(this.#work.tokenizer, { stop: request.stop, text, held }),
      counts: new Map(counts),
    });
  }

  /** Lets a turn be cut short from its start to its end. */
  #watch(turn: RunningTurn, signal: AbortSignal | undefined): void {
    const cut = () => turn.cut("gone");
    signal?.addEventListener("abort", cut, { once: true });
    this.#running.set(turn.stateId, turn);
    turn.done.then(() => {
      signal?.removeEventListener("abort", cut);
      this.#running.delete(turn.stateId);
    });
  }

  /**
   * Lets the states of turns exist: of all or, if one can't, of none.
   *
   * @returns `null` if the parent was replaced meanwhile.
   */
  async #begin(
    turns: readonly RunningTurn[],
    parent: StateInfo | null,
  ): Promise<StateInfo[] | null> {
    const begun = await Promise.allSettled(
      turns.map(({ plan, stateId: id }) =>
        this.#store.begin(parent, encodeRecord(plan), { id, model: this.model })
      ),
    );
    const infos = begun.flatMap((one) => one.status === "fulfilled" ? one.value ?? [] : []);
    if (infos.length === turns.length) return infos;
    await Promise.allSettled(infos.map(({ id }) => this.#store.delete(id)));
    const failed = begun.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
    return null;
  }

  #run(turn: RunningTurn, underway: TurnUnderway): Turn {
    const { stateId, events } = turn;
    const result = turn.run(underway);
    result.catch(() => {}); // its events tell as well; a caller may do with one of the two
    return new Turn({
      id: newId("", this.#random),
      created: this.#clock(),
      stateId,
      events,
      result,
      cancel: () => turn.cut("gone"),
    });
  }

  /** Waits for the turn that leads to `id`, if it has been cancelled here and is being stored. */
  async #cutShort(id: string): Promise<void> {
    const running = this.#running.get(id);
    if (running?.signal.aborted) await running.done;
  }

  async #resume(id: string): Promise<InspectedState> {
    await this.#cutShort(id);
    return await this.#store.inspect(id, { model: this.model });
  }

  /** Where the scheduler gets a state from, and whether it has it still: its bytes never change. */
  #sourceOf(info: StateInfo): StateSource | null {
    if (info.state === null) return null;
    const load = async () => decodeState((await this.#store.readState(info))!);
    return { key: info.state.id, load };
  }

  #freshSeed(): bigint {
    return BigInt(`0x${this.#random(8).toHex()}`);
  }
}

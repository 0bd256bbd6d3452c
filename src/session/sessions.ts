/**
 * Conversations: turns that start from a stored state or from none, and lead to a new one.
 *
 * A streamed turn's state exists from its start, with the prompt still to be read, so that the id
 * in the response's header resumes whatever happens to this process; when the turn ends, the state
 * is replaced by what it came to. A turn that is not streamed is stored when it is complete.
 */

import { InferenceError } from "../core/errors.ts";
import { SILENT, type Telemetry } from "../core/telemetry.ts";
import type { StateSource, TurnRunner } from "../scheduler/scheduler_types.ts";
import { decodeState } from "../store/state_codec.ts";
import { newId, type RandomBytes, randomBytes } from "../store/state_id.ts";
import type { StateInfo, StateStore } from "../store/state_store.ts";
import { toHex } from "../core/hex.ts";
import { AnswerDesk } from "./answer_desk.ts";
import { ConversationDesk } from "./conversation_desk.ts";
import { type Origin, Origins } from "./origin.ts";
import { Reply, type TokenCodec } from "./reply.ts";
import { RunningTurn, type TurnUnderway } from "./running_turn.ts";
import type {
  Sampling,
  SessionModel,
  StateDescription,
  TurnAccount,
  TurnRequest,
} from "./session_types.ts";
import { describeState } from "./state_description.ts";
import { type ExportedState, exportState, importState } from "./state_transfer.ts";
import { SystemPrompts } from "./system_prompts.ts";
import { TokenDesk } from "./token_desk.ts";
import { TokenLog } from "./token_log.ts";
import { Turn } from "./turn.ts";
import { assertFits, chargeTurns, holdRoom } from "./turn_bounds.ts";
import { TurnMeter } from "./turn_meter.ts";
import { planTurn } from "./turn_plan.ts";
import { encodeRecord, type TurnRecord } from "./turn_record.ts";
import { decodeReport, type TurnReport } from "./turn_report.ts";
import {
  assertClear,
  DEFAULT_LIMITS,
  type SessionLimits,
  turnWork,
  type TurnWorkOptions,
} from "./turn_work.ts";
import { TurnsUnderway } from "./turns_underway.ts";

/** What turns are made of. */
export interface SessionsOptions {
  /** Carries turns out: a scheduler. */
  runner: TurnRunner;
  /** Where states go, and come from. */
  store: StateStore;
  /** The model's own. */
  tokenizer: TokenCodec;
  /** What the model is called and is. */
  model: SessionModel;
  /** Bounds of what a turn may ask for. */
  limits?: Partial<SessionLimits> | undefined;
  /** Sampling where the request does not say. */
  sampling?: Partial<Sampling> | undefined;
  /** Whether a history that is sent whole is looked up; it is unless told. */
  prefixes?: boolean | undefined;
  /** Told how turns go. */
  telemetry?: Telemetry | undefined;
  /** Where turns under way are held, with those of other tenants; by themselves unless given. */
  underway?: TurnsUnderway | undefined;
  /** Epoch milliseconds. */
  clock?: (() => number) | undefined;
  /** Where seeds and ids come from; the platform's secure numbers unless told. */
  random?: RandomBytes | undefined;
}

/** How often a turn starts over because the state it resumes was replaced meanwhile. */
const ATTEMPTS = 5;

/** Conversations: each turn goes on from a state that is stored, and leads to another one. */
export class Sessions {
  /** What the model is called and is. */
  readonly model: SessionModel;
  /** Answers by their idempotency keys. */
  readonly answers: AnswerDesk;
  /** Names that move from state to state. */
  readonly conversations: ConversationDesk;
  /** Texts to ids and back. */
  readonly tokens: TokenDesk;
  readonly #runner: TurnRunner;
  readonly #store: StateStore;
  readonly #work: TurnWorkOptions;
  readonly #telemetry: Telemetry;
  readonly #clock: () => number;
  readonly #random: RandomBytes;
  readonly #underway: TurnsUnderway;
  readonly #origins: Origins;

  /** Sessions of one model on one store. */
  constructor({ runner, store, tokenizer, model, limits, sampling, ...rest }: SessionsOptions) {
    this.model = model;
    this.answers = new AnswerDesk(store.answers);
    this.conversations = new ConversationDesk(store, model);
    this.tokens = new TokenDesk(tokenizer, model);
    this.#runner = runner;
    this.#store = store;
    this.#underway = rest.underway ?? new TurnsUnderway();
    this.#work = {
      tenant: store.tenant,
      tokenizer,
      limits: { ...DEFAULT_LIMITS, ...limits },
      vocabulary: model.vocabulary,
      sampling,
    };
    const systemPrompts = rest.prefixes === false
      ? null
      : new SystemPrompts({ store, runner, tokenizer, model });
    this.#origins = new Origins({ store, model, systemPrompts });
    this.#telemetry = rest.telemetry ?? SILENT;
    this.#clock = rest.clock ?? Date.now;
    this.#random = rest.random ?? randomBytes;
  }

  /**
   * Starts a turn. A `signal` cancels it, as `Turn.cancel` does.
   *
   * @throws InferenceError `invalid_value`, `context_length_exceeded`, what `StateStore.load`
   * throws, `overloaded`, `shutting_down` or `cancelled`; by its account `rate_limit_exceeded` or
   * `storage_limit_exceeded`
   */
  async start(request: TurnRequest, signal?: AbortSignal): Promise<Turn> {
    return (await this.startAll(request, 1, signal))[0];
  }

  /**
   * Starts `choices` turns from one request, whose prompt is read once: each has a seed of its own,
   * the first one that of the request, and leads to a state of its own. Throws as `start`.
   */
  async startAll(request: TurnRequest, choices: number, signal?: AbortSignal): Promise<Turn[]> {
    const unbegun = this.#telemetry.turnsAsked(choices);
    try {
      return await this.#startSteadily(request, choices, signal);
    } catch (error) {
      unbegun(error instanceof InferenceError ? error.code : "internal_error");
      throw error;
    }
  }

  /** Starts over when the state that is resumed is replaced meanwhile. */
  async #startSteadily(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[]> {
    assertClear(request, choices);
    if (request.constraint !== undefined) await this.#runner.prepare(request.constraint);
    const free = await holdRoom(request, choices, this.model);
    let turns: Turn[] = [];
    try {
      return turns = await this.#startAnew(request, choices, signal);
    } finally {
      // A streamed turn's state is stored by now, the others' are when they have ended.
      if (request.stream) free();
      else void Promise.allSettled(turns.map((turn) => turn.result())).then(free);
    }
  }

  /** Starts over as often as what the turns go on from is replaced meanwhile. */
  async #startAnew(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[]> {
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

  /**
   * What is known of a state, its transcript included.
   *
   * @throws InferenceError as `StateStore.inspect` does
   */
  async describe(id: string): Promise<StateDescription> {
    await this.#cutShort(id);
    return await describeState(this.#store, id);
  }

  /** What is kept for the client of a turn, where it gave a note. Throws as `describe` does. */
  async report(id: string): Promise<TurnReport | null> {
    await this.#cutShort(id);
    const { info } = await this.#store.inspect(id);
    const note = await this.#store.readNote(info);
    return note && decodeReport(note);
  }

  /** A stored state as a file. Throws as `describe` does. */
  async exportState(id: string): Promise<ExportedState> {
    await this.#cutShort(id);
    return await exportState(this.#store, id);
  }

  /** Stores the state in a file from anybody under a fresh id. Throws as `importState` does. */
  async importState(
    chunks: AsyncIterable<Uint8Array>,
    account?: TurnAccount,
  ): Promise<StateDescription> {
    const { model } = this;
    return this.describe(await importState(chunks, { store: this.#store, model, account }));
  }

  /**
   * Removes a state.
   *
   * @throws InferenceError `state_not_found` or `store_unavailable`
   */
  delete(id: string): Promise<void> {
    return this.#store.delete(id);
  }

  /** Resolves when every turn under way has ended and is stored. */
  async settled(): Promise<void> {
    await this.#underway.settled();
    await this.#store.prefixes.settled();
  }

  /** Ends every turn under way: each is stored as far as it went, and its client told so. */
  interrupt(): void {
    this.#underway.interrupt();
  }

  /** @returns `null` if the state that is resumed was replaced meanwhile. */
  async #start(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[] | null> {
    const came = this.#clock();
    if (request.stateId !== undefined) await this.#cutShort(request.stateId);
    const bounds = { limits: this.#work.limits, telemetry: this.#telemetry };
    const assess = (tokens: number) => assertFits(request, tokens, bounds);
    const origin = await this.#origins.find(request, { signal, assess });
    const { tokenizer } = this.#work;
    const plan = planTurn(origin.previous, origin.messages, {
      tokenizer,
      seed: request.seed,
      freshSeed: () => this.#freshSeed(),
      prompt: request.prompt,
      instructions: origin.instructions,
    });
    assess(plan.pending.length);
    if (signal?.aborted) throw new InferenceError("cancelled", "The client has gone");

    const turns = Array.from({ length: choices }, (_, i) => {
      return this.#prepare(request, { origin, plan, came }, i);
    });
    for (const turn of turns) this.#watch(turn, signal);
    let started: Turn[] | null = null;
    try {
      started = await this.#submit(request, turns, origin.info);
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
    const [{ meter }] = turns;
    const state = parent && this.#sourceOf(parent, meter);
    for (const turn of turns) turn.meter.submitted();
    const generations = this.#runner.submitAll(
      turns.map((turn) => ({ ...turnWork(request, turn, this.#work), state })),
    );
    chargeTurns(request, turns, generations);
    // Whoever awaits them below may not get that far.
    for (const { finished } of generations) finished.catch(() => {});
    const begins = request.stream && request.keep !== false;
    const begun = begins ? await this.#begin(turns, parent) : turns.map(() => null);
    if (begun === null) return null;
    if (parent !== null) this.#renew(parent);
    return turns.map((turn, i) =>
      this.#run(turn, {
        generation: generations[i],
        begun: begun[i],
        store: this.#store,
        model: this.model,
      })
    );
  }

  /** Off the path of the turn: a state that can't be renewed now is renewed when it is used next. */
  #renew(parent: StateInfo): void {
    this.#underway.chore(this.#store.renew(parent));
  }

  #prepare(
    request: TurnRequest,
    { origin, plan, came }: { origin: Origin; plan: TurnRecord; came: number },
    choice: number,
  ): RunningTurn {
    const { transcript, held, counts, plain } = plan;
    const text = transcript[transcript.length - 1].content;
    return new RunningTurn({
      stateId: this.#store.newId(),
      plan: { ...plan, seed: BigInt.asUintN(64, plan.seed + BigInt(choice)) },
      reply: new Reply(this.#work.tokenizer, { stop: request.stop, text, held, plain }),
      counts: new Map(counts),
      origin,
      ttl: request.ttl,
      created: this.#clock(),
      keep: request.keep ?? true,
      note: request.note,
      log: request.logprobs === undefined
        ? undefined
        : new TokenLog(this.#work.tokenizer, held.length),
      meter: new TurnMeter({
        telemetry: this.#telemetry,
        clock: this.#clock,
        came,
        // The prompt is read once for all choices.
        readsPrompt: choice === 0,
      }),
    });
  }

  /** Lets a turn be cut short from its start to its end. */
  #watch(turn: RunningTurn, signal: AbortSignal | undefined): void {
    const cut = () => turn.cut("gone");
    signal?.addEventListener("abort", cut, { once: true });
    this.#underway.add(this.#store.tenant, turn);
    turn.done.then(() => signal?.removeEventListener("abort", cut));
  }

  /**
   * Lets the states of turns exist: of all or, if one can't, of none; a store that can't be reached
   * holds up nobody's reply.
   *
   * @returns `null` if the parent was replaced meanwhile; else for each turn what it began with.
   */
  async #begin(
    turns: readonly RunningTurn[],
    parent: StateInfo | null,
  ): Promise<(StateInfo | null)[] | null> {
    const begun = await Promise.allSettled(
      turns.map((turn) => {
        const { plan, stateId: id, ttl } = turn;
        const note = turn.report(null);
        return this.#store.begin(parent, encodeRecord(plan), { id, model: this.model, ttl, note });
      }),
    );
    const infos = begun.flatMap((one) => one.status === "fulfilled" ? one.value ?? [] : []);
    if (infos.length === turns.length) return infos;
    await Promise.allSettled(infos.map(({ id }) => this.#store.delete(id)));
    const failed = begun.find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return null;
    const { reason } = failed;
    if (reason instanceof InferenceError && reason.code === "store_unavailable") {
      return turns.map(() => null);
    }
    throw reason;
  }

  #run(turn: RunningTurn, underway: TurnUnderway): Turn {
    const { events } = turn;
    const stateId = underway.begun && turn.stateId;
    const result = turn.run(underway);
    result.catch(() => {}); // its events tell as well; a caller may do with one of the two
    return new Turn({
      id: newId("", this.#random),
      created: turn.created,
      leadsTo: turn.stateId,
      stateId,
      events,
      result,
      cancel: () => turn.cut("gone"),
    });
  }

  /** Waits for the turn that leads to `id`, if it has been cancelled here and is being stored. */
  async #cutShort(id: string): Promise<void> {
    const running = this.#underway.find(this.#store.tenant, id);
    if (running?.signal.aborted) await running.done;
  }

  /** Where the scheduler gets a state from, and whether it has it still: its bytes never change. */
  #sourceOf(info: StateInfo, meter: TurnMeter): StateSource | null {
    if (info.state === null) return null;
    const load = async () => decodeState((await meter.loading(this.#store.readState(info)))!);
    return { key: info.state.id, load };
  }

  #freshSeed(): bigint {
    return BigInt(`0x${toHex(this.#random(8))}`);
  }
}

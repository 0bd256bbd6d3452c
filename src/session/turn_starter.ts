/**
 * Starts turns: from what is asked to replies that are being written, with states of their own. It
 * starts over when the state that is resumed is replaced meanwhile.
 */

import { InferenceError } from "../core/errors.ts";
import { toHex } from "../core/hex.ts";
import type { Telemetry } from "../core/telemetry.ts";
import type { GenerationRunner, StateSource } from "../scheduler/scheduler_types.ts";
import { decodeState } from "../store/states/state_codec.ts";
import { newId, type RandomBytes } from "../store/states/state_id.ts";
import type { StateInfo, StateStore } from "../store/states/state_store.ts";
import type { ResumePoint, ResumePointResolver } from "./resume_point.ts";
import { Reply } from "../prompt/reply.ts";
import { RunningTurn, type TurnContext } from "./running_turn.ts";
import type { SessionModel, TurnRequest } from "./session_types.ts";
import { type ActiveTurns, TokenLog, TurnHandle } from "./turn_handle.ts";
import {
  assertConsistent,
  assertLogprobsFit,
  chargeTurns,
  type GenerationOptions,
  generationRequest,
  maxUnreadTokens,
  PromptLimits,
  reserveStorage,
} from "./generation_request.ts";
import { TurnMeter } from "./turn_meter.ts";
import { buildPrompt } from "./build_prompt.ts";
import { encodeSnapshot, type TurnSnapshot } from "./stored_turn.ts";
import type { Turn } from "./session_api.ts";

/** What turns are started with. */
export interface TurnStarterOptions {
  /** Carries them out. */
  runner: GenerationRunner;
  /** Where their states go. */
  store: StateStore;
  /** What runs. */
  model: SessionModel;
  /** Where they go on from. */
  resumePoints: ResumePointResolver;
  /** Where they are held until they have ended. */
  activeTurns: ActiveTurns;
  /** What they may ask for. */
  generation: GenerationOptions;
  /** Told how they go. */
  telemetry: Telemetry;
  /** Epoch milliseconds. */
  clock: () => number;
  /** Where seeds and ids come from. */
  random: RandomBytes;
}

/** How often a turn starts over because the state it resumes was replaced meanwhile. */
const ATTEMPTS = 5;

/** Starts turns of one tenant. */
export class TurnStarter {
  readonly #options: TurnStarterOptions;

  constructor(options: TurnStarterOptions) {
    this.#options = options;
  }

  /** As `Sessions.startAll`. */
  async start(request: TurnRequest, choices: number, signal?: AbortSignal): Promise<Turn[]> {
    const { runner, model, generation: work } = this.#options;
    assertConsistent(request, choices);
    assertLogprobsFit(request, choices, work.limits);
    if (request.constraint !== undefined) await runner.prepareConstraint(request.constraint);
    const free = await reserveStorage(request, choices, model);
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

  /** @returns `null` if the state that is resumed was replaced meanwhile. */
  async #start(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[] | null> {
    const {
      store,
      activeTurns: underway,
      resumePoints: origins,
      telemetry,
      clock,
      generation: { limits, tokenizer },
    } = this.#options;
    const came = clock();
    if (request.stateId !== undefined) {
      await underway.waitIfCancelled(store.tenant, request.stateId);
    }
    const bounds = new PromptLimits(request, { limits, telemetry });
    const origin = await origins.resolve(request, { signal, bounds });
    const plan = await buildPrompt(origin.previous, origin.messages, {
      tokenizer: bounds.limitCodec(tokenizer),
      seed: request.seed,
      freshSeed: () => this.#freshSeed(),
      prompt: request.prompt,
      instructions: origin.instructions,
      continueFinalMessage: request.continueFinalMessage,
      ignoreEos: request.ignoreEos,
    });
    bounds.assertWithinLimit(plan.pending.length);
    if (signal?.aborted) throw new InferenceError("cancelled", "The client has gone");

    const turns = Array.from({ length: choices }, (_, i) => {
      return this.#prepare(request, { origin, plan, came, choices }, i);
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
    const { runner, store, model, activeTurns: underway, generation: work } = this.#options;
    const [{ meter }] = turns;
    const state = parent && this.#sourceOf(parent, meter);
    for (const turn of turns) turn.meter.submitted();
    const generations = runner.submitAll(
      turns.map((turn) => ({ ...generationRequest(request, turn, work), state })),
    );
    chargeTurns(request, turns, generations);
    // Whoever awaits them below may not get that far.
    for (const { finished } of generations) finished.catch(() => {});
    const begins = request.stream && request.store !== false;
    const begun = begins ? await this.#begin(turns, parent) : turns.map(() => null);
    if (begun === null) return null;
    // Off the path of the turn: what can't be renewed now is renewed when it is used next.
    if (parent !== null) underway.runInBackground(store.renew(parent));
    return turns.map((turn, i) =>
      this.#run(turn, { generation: generations[i], initialState: begun[i], store, model })
    );
  }

  #prepare(
    request: TurnRequest,
    { origin, plan, came, choices }: {
      origin: ResumePoint;
      plan: TurnSnapshot;
      came: number;
      choices: number;
    },
    choice: number,
  ): RunningTurn {
    const { store, telemetry, clock, generation: { tokenizer, limits } } = this.#options;
    const { transcript, undisplayedBytes: held, counts, rawText: plain } = plan;
    const text = transcript[transcript.length - 1].content;
    return new RunningTurn({
      stateId: store.newId(),
      snapshot: { ...plan, seed: BigInt.asUintN(64, plan.seed + BigInt(choice)) },
      reply: new Reply(tokenizer, {
        stop: request.stop,
        text,
        undisplayedBytes: held,
        rawText: plain,
        ignoreEos: request.ignoreEos,
      }),
      counts: new Map(counts),
      resumePoint: origin,
      ttl: request.ttl,
      created: clock(),
      store: request.store ?? true,
      note: request.note,
      maxUnreadTokens: request.stream ? maxUnreadTokens(request, choices, limits) : null,
      tokenLog: request.logprobs === undefined ? undefined : new TokenLog(tokenizer, held.length),
      meter: new TurnMeter({
        telemetry,
        clock,
        startedAt: came,
        // The prompt is read once for all choices.
        processesPrompt: choice === 0,
      }),
    });
  }

  /** Lets a turn be cut short from its start to its end. */
  #watch(turn: RunningTurn, signal: AbortSignal | undefined): void {
    const { store, activeTurns: underway } = this.#options;
    const cut = () => turn.cancel("gone");
    signal?.addEventListener("abort", cut, { once: true });
    underway.add(store.tenant, turn);
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
    const { store, model } = this.#options;
    const begun = await Promise.allSettled(
      turns.map((turn) => {
        const { snapshot: plan, stateId: id, ttl } = turn;
        const note = turn.report(null);
        return store.begin(parent, encodeSnapshot(plan), { id, model, ttl, note });
      }),
    );
    const infos = begun.flatMap((one) => one.status === "fulfilled" ? one.value ?? [] : []);
    if (infos.length === turns.length) return infos;
    await Promise.allSettled(infos.map(({ id }) => store.delete(id)));
    const failed = begun.find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return null;
    const { reason } = failed;
    if (reason instanceof InferenceError && reason.code === "store_unavailable") {
      return turns.map(() => null);
    }
    throw reason;
  }

  #run(turn: RunningTurn, underway: TurnContext): Turn {
    const { events } = turn;
    const stateId = underway.initialState && turn.stateId;
    const result = turn.run(underway);
    result.catch(() => {}); // its events tell as well; a caller may do with one of the two
    return new TurnHandle({
      id: newId("", this.#options.random),
      created: turn.created,
      finalStateId: turn.stateId,
      stateId,
      events,
      result,
      cancel: () => turn.cancel("gone"),
    });
  }

  /** Where the scheduler gets a state from, and whether it has it still: its bytes never change. */
  #sourceOf(info: StateInfo, meter: TurnMeter): StateSource | null {
    if (info.state === null) return null;
    const { store } = this.#options;
    const load = async () => decodeState((await meter.measureStateLoad(store.readState(info)))!);
    return { fairnessKey: info.state.id, load };
  }

  #freshSeed(): bigint {
    return BigInt(`0x${toHex(this.#options.random(8))}`);
  }
}

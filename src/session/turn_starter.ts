/**
 * Starts turns: validates the request, finds the resume point, builds the prompt, submits it and
 * returns handles. Starts over if the resumed state is replaced meanwhile.
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

/** Dependencies of the turn starter. */
export interface TurnStarterOptions {
  /** Runs generations. */
  runner: GenerationRunner;
  /** Stores states. */
  store: StateStore;
  /** The model that the worker runs. */
  model: SessionModel;
  /** Finds resume points. */
  resumePoints: ResumePointResolver;
  /** Registry of running turns. */
  activeTurns: ActiveTurns;
  /** Options and limits of generation requests. */
  generation: GenerationOptions;
  /** Observes turns. */
  telemetry: Telemetry;
  /** Returns epoch milliseconds. */
  clock: () => number;
  /** Source of seeds and ids. */
  random: RandomBytes;
}

/** Maximum number of attempts while the resumed state is being replaced. */
const ATTEMPTS = 5;

/** Starts the turns of one tenant. */
export class TurnStarter {
  readonly #options: TurnStarterOptions;

  constructor(options: TurnStarterOptions) {
    this.#options = options;
  }

  /** Starts turns; see `Sessions.startAll`. */
  async start(request: TurnRequest, choices: number, signal?: AbortSignal): Promise<Turn[]> {
    const { runner, model, generation } = this.#options;
    assertConsistent(request, choices);
    assertLogprobsFit(request, choices, generation.limits);
    if (request.constraint !== undefined) await runner.prepareConstraint(request.constraint);
    const release = await reserveStorage(request, choices, model);
    let turns: Turn[] = [];
    try {
      return turns = await this.#startWithRetries(request, choices, signal);
    } finally {
      // A streamed turn is stored already; others are stored when they end.
      if (request.stream) release();
      else void Promise.allSettled(turns.map((turn) => turn.result())).then(release);
    }
  }

  /** Retries while the resumed state is being replaced. */
  async #startWithRetries(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[]> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const turns = await this.#start(request, choices, signal);
      if (turns !== null) return turns;
    }
    const { stateId } = request;
    const subject = stateId === undefined ? "the previous state" : `state "${stateId}"`;
    throw new InferenceError(
      "store_unavailable",
      `Cannot resume ${subject}: it was replaced ${ATTEMPTS} times concurrently; retry later`,
      { param: "state_id" },
    );
  }

  /**
   * Starts turns once.
   *
   * @returns `null` if the resumed state was replaced meanwhile
   */
  async #start(
    request: TurnRequest,
    choices: number,
    signal: AbortSignal | undefined,
  ): Promise<Turn[] | null> {
    const {
      store,
      activeTurns,
      resumePoints,
      telemetry,
      clock,
      generation: { limits, tokenizer },
    } = this.#options;
    const startedAt = clock();
    if (request.stateId !== undefined) {
      await activeTurns.waitIfCancelled(store.tenant, request.stateId);
    }
    const promptLimits = new PromptLimits(request, { limits, telemetry });
    const resumePoint = await resumePoints.resolve(request, { signal, promptLimits });
    const snapshot = await buildPrompt(resumePoint.previous, resumePoint.messages, {
      tokenizer: promptLimits.limitCodec(tokenizer),
      seed: request.seed,
      freshSeed: () => this.#freshSeed(),
      prompt: request.prompt,
      instructions: resumePoint.instructions,
      continueFinalMessage: request.continueFinalMessage,
      ignoreEos: request.ignoreEos,
    });
    promptLimits.assertWithinLimit(snapshot.pending.length);
    if (signal?.aborted) throw new InferenceError("cancelled", "The client disconnected");

    const turns = Array.from({ length: choices }, (_, i) => {
      return this.#prepare(request, { resumePoint, snapshot, startedAt, choices }, i);
    });
    for (const turn of turns) this.#register(turn, signal);
    let started: Turn[] | null = null;
    try {
      started = await this.#submit(request, turns, resumePoint.info);
    } finally {
      if (started === null) { for (const turn of turns) turn.abandon(); }
    }
    return started;
  }

  /**
   * Submits the turns to the scheduler.
   *
   * @returns `null` if the parent was replaced meanwhile
   */
  async #submit(
    request: TurnRequest,
    turns: readonly RunningTurn[],
    parent: StateInfo | null,
  ): Promise<Turn[] | null> {
    const { runner, store, model, activeTurns, generation } = this.#options;
    const [{ meter }] = turns;
    const state = parent && this.#stateSource(parent, meter);
    for (const turn of turns) turn.meter.submitted();
    const generations = runner.submitAll(
      turns.map((turn) => ({ ...generationRequest(request, turn, generation), state })),
    );
    chargeTurns(request, turns, generations);
    // An error below may prevent awaiting these promises.
    for (const { finished } of generations) finished.catch(() => {});
    const storesInitialStates = request.stream && request.store !== false;
    const initialStates = storesInitialStates
      ? await this.#storeInitialStates(turns, parent)
      : turns.map(() => null);
    if (initialStates === null) return null;
    // Extends the parent's lifetime in the background. If that fails, the next use extends it.
    if (parent !== null) activeTurns.runInBackground(store.renew(parent));
    return turns.map((turn, i) =>
      this.#run(turn, { generation: generations[i], initialState: initialStates[i], store, model })
    );
  }

  #prepare(
    request: TurnRequest,
    { resumePoint, snapshot, startedAt, choices }: {
      resumePoint: ResumePoint;
      snapshot: TurnSnapshot;
      startedAt: number;
      choices: number;
    },
    choice: number,
  ): RunningTurn {
    const { store, telemetry, clock, generation: { tokenizer, limits } } = this.#options;
    const { transcript, undisplayedBytes, counts, rawText } = snapshot;
    const text = transcript[transcript.length - 1].content;
    return new RunningTurn({
      stateId: store.newId(),
      snapshot: { ...snapshot, seed: BigInt.asUintN(64, snapshot.seed + BigInt(choice)) },
      reply: new Reply(tokenizer, {
        stop: request.stop,
        text,
        undisplayedBytes,
        rawText,
        ignoreEos: request.ignoreEos,
      }),
      counts: new Map(counts),
      resumePoint,
      ttl: request.ttl,
      created: clock(),
      store: request.store ?? true,
      note: request.note,
      maxUnreadTokens: request.stream ? maxUnreadTokens(request, choices, limits) : null,
      tokenLog: request.logprobs === undefined
        ? undefined
        : new TokenLog(tokenizer, undisplayedBytes.length),
      meter: new TurnMeter({
        telemetry,
        clock,
        startedAt,
        // All choices share one prompt.
        processesPrompt: choice === 0,
      }),
    });
  }

  /** Registers a turn and cancels it when `signal` aborts. */
  #register(turn: RunningTurn, signal: AbortSignal | undefined): void {
    const { store, activeTurns } = this.#options;
    const cancel = () => turn.cancel("client_disconnected");
    signal?.addEventListener("abort", cancel, { once: true });
    activeTurns.add(store.tenant, turn);
    turn.done.then(() => signal?.removeEventListener("abort", cancel));
  }

  /**
   * Stores the initial states of the turns: of all, or of none if one fails. An unreachable store
   * does not prevent the reply.
   *
   * @returns `null` if the parent was replaced meanwhile; otherwise the initial state of each turn,
   * which is `null` if the store is unreachable
   */
  async #storeInitialStates(
    turns: readonly RunningTurn[],
    parent: StateInfo | null,
  ): Promise<(StateInfo | null)[] | null> {
    const { store, model } = this.#options;
    const initialStates = await Promise.allSettled(
      turns.map((turn) => {
        const { snapshot, stateId, ttl } = turn;
        const note = turn.report(null);
        return store.begin(parent, encodeSnapshot(snapshot), { id: stateId, model, ttl, note });
      }),
    );
    const stored = initialStates.flatMap((one) =>
      one.status === "fulfilled" ? one.value ?? [] : []
    );
    if (stored.length === turns.length) return stored;
    await Promise.allSettled(stored.map(({ id }) => store.delete(id)));
    const failed = initialStates.find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return null;
    const { reason } = failed;
    if (reason instanceof InferenceError && reason.code === "store_unavailable") {
      return turns.map(() => null);
    }
    throw reason;
  }

  #run(turn: RunningTurn, context: TurnContext): Turn {
    const { events } = turn;
    const stateId = context.initialState && turn.stateId;
    const result = turn.run(context);
    result.catch(() => {}); // the events report it, too; a caller may use only one of the two
    return new TurnHandle({
      id: newId("", this.#options.random),
      created: turn.created,
      finalStateId: turn.stateId,
      stateId,
      events,
      result,
      cancel: () => turn.cancel("client_disconnected"),
    });
  }

  /**
   * Returns the source from which the scheduler loads a state. A state's blob never changes, so its
   * id identifies a state that is still in a slot.
   */
  #stateSource(info: StateInfo, meter: TurnMeter): StateSource | null {
    if (info.state === null) return null;
    const { store } = this.#options;
    const load = async () => decodeState((await meter.measureStateLoad(store.readState(info)))!);
    return { stateKey: info.state.id, load };
  }

  #freshSeed(): bigint {
    return BigInt(`0x${toHex(this.#options.random(8))}`);
  }
}

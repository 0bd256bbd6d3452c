/**
 * Conversations: turns that start from a stored state or from none, and lead to a new one.
 *
 * A streamed turn's state exists from its start, with the prompt still to be read, so that the id
 * in the response's header resumes whatever happens to this process; when the turn ends, the state
 * is replaced by what it came to. A turn that is not streamed is stored when it is complete.
 */

import { InferenceError } from "../core/errors.ts";
import { NO_TELEMETRY, type Telemetry } from "../core/telemetry.ts";
import type { GenerationRunner } from "../scheduler/scheduler_types.ts";
import { type RandomBytes, randomBytes } from "../store/states/state_id.ts";
import type { StateStore } from "../store/states/state_store.ts";
import { IdempotencyService } from "./idempotency_service.ts";
import { ConversationService } from "./conversation_service.ts";
import { ResumePointResolver } from "./resume_point.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import type {
  ReserveMemory,
  Sampling,
  SessionModel,
  StateDescription,
  TurnAccount,
  TurnRequest,
} from "./session_types.ts";
import { describeState } from "./transcript.ts";
import { exportState, importLimit, importState } from "./state_transfer.ts";
import { SystemPrompts } from "./system_prompts.ts";
import { TokenService } from "./token_service.ts";
import type { ExportedState, PageRequest, SessionApi, Turn, TurnReport } from "./session_api.ts";
import { decodeReport } from "./stored_turn.ts";
import { TurnStarter } from "./turn_starter.ts";
import { DEFAULT_LIMITS, type SessionLimits } from "./session_limits.ts";
import { ActiveTurns } from "./turn_handle.ts";

/** What turns are made of. */
export interface SessionsOptions {
  /** Carries turns out: a scheduler. */
  runner: GenerationRunner;
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
  prefixCaching?: boolean | undefined;
  /** Told how turns go. */
  telemetry?: Telemetry | undefined;
  /** Where turns under way are held, with those of other tenants; by themselves unless given. */
  activeTurns?: ActiveTurns | undefined;
  /** Epoch milliseconds. */
  clock?: (() => number) | undefined;
  /** Where seeds and ids come from; the platform's secure numbers unless told. */
  random?: RandomBytes | undefined;
}

/** Conversations: each turn goes on from a state that is stored, and leads to another one. */
export class Sessions implements SessionApi {
  /** What the model is called and is. */
  readonly model: SessionModel;
  /** Answers by their idempotency keys. */
  readonly idempotency: IdempotencyService;
  /** Names that move from state to state. */
  readonly conversations: ConversationService;
  /** Texts to ids and back. */
  readonly tokens: TokenService;
  readonly #store: StateStore;
  readonly #telemetry: Telemetry;
  readonly #underway: ActiveTurns;
  readonly #starter: TurnStarter;

  /** Sessions of one model on one store. */
  constructor({ runner, store, tokenizer, model, limits, sampling, ...rest }: SessionsOptions) {
    this.model = model;
    this.idempotency = new IdempotencyService(store.idempotencyRecords);
    const { promptTokens } = { ...DEFAULT_LIMITS, ...limits };
    this.conversations = new ConversationService({ store, model, tokenizer, promptTokens });
    this.tokens = new TokenService(tokenizer, model);
    this.#store = store;
    this.#telemetry = rest.telemetry ?? NO_TELEMETRY;
    this.#underway = rest.activeTurns ?? new ActiveTurns();
    const systemPrompts = rest.prefixCaching === false
      ? null
      : new SystemPrompts({ store, runner, tokenizer, model });
    this.#starter = new TurnStarter({
      runner,
      store,
      model,
      resumePoints: new ResumePointResolver({ store, model, systemPrompts }),
      activeTurns: this.#underway,
      generation: {
        tenant: store.tenant,
        tokenizer,
        limits: { ...DEFAULT_LIMITS, ...limits },
        vocabulary: model.vocabulary,
        sampling,
      },
      telemetry: this.#telemetry,
      clock: rest.clock ?? Date.now,
      random: rest.random ?? randomBytes,
    });
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
    const unbegun = this.#telemetry.turnsRequested(choices);
    try {
      return await this.#starter.start(request, choices, signal);
    } catch (error) {
      unbegun(error instanceof InferenceError ? error.code : "internal_error");
      throw error;
    }
  }

  /**
   * What is known of a state, with a page of its transcript: the first 1000 messages unless told.
   *
   * @throws InferenceError as `StateStore.inspect` does, and what `take` throws
   */
  async describe(
    id: string,
    page: PageRequest & { take?: ReserveMemory | undefined } = {},
  ): Promise<StateDescription> {
    await this.#cutShort(id);
    return await describeState(this.#store, id, page);
  }

  /** What is kept for the client of a turn, where it gave a note. Throws as `describe` does. */
  async report(id: string): Promise<TurnReport | null> {
    await this.#cutShort(id);
    const { info } = await this.#store.inspect(id);
    const note = await this.#store.readNote(info);
    return note && decodeReport(note);
  }

  /** A stored state as a file. Throws as `describe` does. */
  async exportState(id: string, take?: ReserveMemory): Promise<ExportedState> {
    await this.#cutShort(id);
    return await exportState(this.#store, id, take);
  }

  get importLimit(): number {
    return importLimit(this.model);
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

  /** Waits for the turn that leads to `id`, if it has been cancelled here and is being stored. */
  #cutShort(id: string): Promise<void> {
    return this.#underway.waitIfCancelled(this.#store.tenant, id);
  }
}

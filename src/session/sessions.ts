/**
 * Sessions: turns that resume a stored state, or start without one, and produce a new one.
 *
 * A streamed turn stores a state at its start, with the prompt as pending tokens. The id in the
 * response's header can therefore be resumed even if this process ends. When the turn ends, its
 * final state replaces the initial one. A turn that is not streamed is stored when it is complete.
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

/** Dependencies and options of sessions. */
export interface SessionsOptions {
  /** Runs generations: a scheduler. */
  runner: GenerationRunner;
  /** Stores states. */
  store: StateStore;
  /** The tokenizer of the model. */
  tokenizer: TokenCodec;
  /** The model that the worker runs. */
  model: SessionModel;
  /** Limits of requests. */
  limits?: Partial<SessionLimits> | undefined;
  /** Default sampling parameters. */
  sampling?: Partial<Sampling> | undefined;
  /** Whether histories are looked up in the prefix cache; they are by default. */
  prefixCaching?: boolean | undefined;
  /** Observes turns. */
  telemetry?: Telemetry | undefined;
  /** Registry of running turns, shared with other tenants if given. */
  activeTurns?: ActiveTurns | undefined;
  /** Returns epoch milliseconds. */
  clock?: (() => number) | undefined;
  /** Source of seeds and ids; cryptographic by default. */
  random?: RandomBytes | undefined;
}

/** The sessions of one tenant. */
export class Sessions implements SessionApi {
  /** The model that the worker runs. */
  readonly model: SessionModel;
  /** Responses by their idempotency keys. */
  readonly idempotency: IdempotencyService;
  /** The conversations of the tenant. */
  readonly conversations: ConversationService;
  /** Tokenization with the model's vocabulary. */
  readonly tokens: TokenService;
  readonly #store: StateStore;
  readonly #telemetry: Telemetry;
  readonly #activeTurns: ActiveTurns;
  readonly #starter: TurnStarter;

  /** Creates sessions for one model and one store. */
  constructor({ runner, store, tokenizer, model, limits, sampling, ...rest }: SessionsOptions) {
    this.model = model;
    this.idempotency = new IdempotencyService(store.idempotencyRecords);
    const { promptTokens } = { ...DEFAULT_LIMITS, ...limits };
    this.conversations = new ConversationService({
      store,
      model,
      tokenizer,
      maxPromptTokens: promptTokens,
    });
    this.tokens = new TokenService(tokenizer, model);
    this.#store = store;
    this.#telemetry = rest.telemetry ?? NO_TELEMETRY;
    this.#activeTurns = rest.activeTurns ?? new ActiveTurns();
    const systemPrompts = rest.prefixCaching === false
      ? null
      : new SystemPrompts({ store, runner, tokenizer, model });
    this.#starter = new TurnStarter({
      runner,
      store,
      model,
      resumePoints: new ResumePointResolver({ store, model, systemPrompts }),
      activeTurns: this.#activeTurns,
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
   * Starts a turn. Aborting `signal` cancels it, as `Turn.cancel` does.
   *
   * @throws InferenceError `invalid_value`, `context_length_exceeded`, `overloaded`,
   * `shutting_down` or `cancelled`; from `StateStore.load`; or `rate_limit_exceeded` or
   * `storage_limit_exceeded` from the account
   */
  async start(request: TurnRequest, signal?: AbortSignal): Promise<Turn> {
    return (await this.startAll(request, 1, signal))[0];
  }

  /**
   * Starts `choices` turns from one request, whose prompt is processed once. Each has its own seed
   * and its own final state; the first one uses the seed of the request. Throws the errors of
   * `start`.
   */
  async startAll(request: TurnRequest, choices: number, signal?: AbortSignal): Promise<Turn[]> {
    const onRejected = this.#telemetry.turnsRequested(choices);
    try {
      return await this.#starter.start(request, choices, signal);
    } catch (error) {
      onRejected(error instanceof InferenceError ? error.code : "internal_error");
      throw error;
    }
  }

  /**
   * Describes a state, with a page of its transcript: the first 1000 messages by default.
   *
   * @throws InferenceError from `StateStore.inspect` or `reserve`
   */
  async describe(
    id: string,
    page: PageRequest & { reserve?: ReserveMemory | undefined } = {},
  ): Promise<StateDescription> {
    await this.#waitIfCancelled(id);
    return await describeState(this.#store, id, page);
  }

  /**
   * Returns the report of the turn that led to a state; `null` if its request had no note. Throws
   * the errors of `describe`.
   */
  async report(id: string): Promise<TurnReport | null> {
    await this.#waitIfCancelled(id);
    const { info } = await this.#store.inspect(id);
    const note = await this.#store.readNote(info);
    return note && decodeReport(note);
  }

  /** Exports a state as a file. Throws the errors of `describe`. */
  async exportState(id: string, reserve?: ReserveMemory): Promise<ExportedState> {
    await this.#waitIfCancelled(id);
    return await exportState(this.#store, id, reserve);
  }

  get importLimit(): number {
    return importLimit(this.model);
  }

  /**
   * Stores the state of an untrusted file under a new id. Throws the errors of `importState` in
   * `state_transfer.ts`.
   */
  async importState(
    chunks: AsyncIterable<Uint8Array>,
    account?: TurnAccount,
  ): Promise<StateDescription> {
    const { model } = this;
    return this.describe(await importState(chunks, { store: this.#store, model, account }));
  }

  /**
   * Deletes a state.
   *
   * @throws InferenceError `state_not_found` or `store_unavailable`
   */
  delete(id: string): Promise<void> {
    return this.#store.delete(id);
  }

  /** Resolves when all running turns have ended and are stored. */
  async settled(): Promise<void> {
    await this.#activeTurns.settled();
    await this.#store.prefixes.settled();
  }

  /**
   * Ends all running turns. Each is stored as far as it was generated, and its client gets an
   * error.
   */
  interrupt(): void {
    this.#activeTurns.interrupt();
  }

  /** Waits for the turn that leads to `id` if it is cancelled and being stored. */
  #waitIfCancelled(id: string): Promise<void> {
    return this.#activeTurns.waitIfCancelled(this.#store.tenant, id);
  }
}

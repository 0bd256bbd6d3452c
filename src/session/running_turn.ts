/** Runs one turn, from its first token to its stored state. */

import { deferred } from "../core/deferred.ts";
import { InferenceError } from "../core/errors.ts";
import type { Generation, GenerationResult } from "../scheduler/scheduler_types.ts";
import type {
  StateContent,
  StateInfo,
  StateStore,
  StoredState,
} from "../store/states/state_store.ts";
import { canonicalMessage } from "../prompt/chat_template.ts";
import {
  appendEntries,
  archiveTurn,
  encodeForStorage,
  encodeReport,
  encodeSnapshot,
  type StoredEncoding,
  type TurnSnapshot,
} from "./stored_turn.ts";
import type { ResumePoint } from "./resume_point.ts";
import type { Reply } from "../prompt/reply.ts";
import type { SessionModel, TextToken, TurnEnd, TurnResult, Usage } from "./session_types.ts";
import { EventQueue, type TokenLog } from "./turn_handle.ts";
import type { TurnMeter } from "./turn_meter.ts";
import { isolatedPrefix } from "./build_prompt.ts";
import type { ReportedResult } from "./session_api.ts";

export interface RunningTurnOptions {
  /** Id of the final state. */
  stateId: string;
  /** The initial snapshot. */
  snapshot: TurnSnapshot;
  reply: Reply;
  /** How often each token was sampled; updated during the turn. */
  counts: Map<number, number>;
  resumePoint: ResumePoint;
  /** Lifetime of the state in milliseconds; the store's default if not given. */
  ttl?: number | undefined;
  /** Epoch milliseconds. */
  created: number;
  /** Whether the final state is stored. */
  store: boolean;
  /** Any JSON to store with the state for the client. */
  note?: unknown;
  /** Collects log probabilities if the request asks for them. */
  tokenLog?: TokenLog | undefined;
  /**
   * Maximum number of tokens with log probabilities that may wait for the client of a stream;
   * `null` if the turn is not streamed and they are collected for its result.
   */
  maxUnreadTokens: number | null;
  meter: TurnMeter;
}

/** What a turn needs to run, known after it was submitted. */
export interface TurnContext {
  generation: Generation;
  /** The state in the store during the turn; `null` if the turn is not streamed. */
  initialState: StateInfo | null;
  store: StateStore;
  model: SessionModel;
}

/** The stored state, or the reason why it was not stored. */
interface StoredTurn {
  info: (StateInfo & Partial<StoredState>) | null;
  warning?: string;
}

/**
 * Why a turn is cancelled: the client disconnected, it reads too slowly, or the worker shuts down.
 */
export type CancelReason = "client_disconnected" | "client_too_slow" | "interrupted";

export class RunningTurn {
  readonly stateId: string;
  readonly snapshot: TurnSnapshot;
  readonly reply: Reply;
  readonly counts: Map<number, number>;
  readonly resumePoint: ResumePoint;
  readonly ttl: number | undefined;
  readonly created: number;
  readonly store: boolean;
  readonly #note: unknown;
  readonly #tokenLog: TokenLog | undefined;
  readonly #maxUnreadTokens: number | null;
  readonly meter: TurnMeter;
  readonly #emittedTokens: TextToken[] = [];
  readonly events: EventQueue = new EventQueue();
  readonly #controller = new AbortController();
  readonly #done = deferred<void>();

  constructor(
    {
      stateId,
      snapshot,
      reply,
      counts,
      resumePoint,
      ttl,
      tokenLog,
      ...rest
    }: RunningTurnOptions,
  ) {
    this.stateId = stateId;
    this.snapshot = snapshot;
    this.reply = reply;
    this.counts = counts;
    this.resumePoint = resumePoint;
    this.ttl = ttl;
    this.created = rest.created;
    this.store = rest.store;
    this.#note = rest.note;
    this.#tokenLog = tokenLog;
    this.#maxUnreadTokens = rest.maxUnreadTokens;
    this.meter = rest.meter;
  }

  /** Aborted when the turn is cancelled. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves when the turn has ended and is stored if it should be. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Encodes the report for the client; `null` if the request has no note. */
  report(end: ReportedResult | null): Uint8Array | null {
    const { created } = this;
    return this.#note === undefined ? null : encodeReport({ note: this.#note, created, end });
  }

  cancel(reason: CancelReason): void {
    this.#controller.abort(reason);
  }

  /** Ends a turn that was not started. */
  abandon(): void {
    this.cancel("client_disconnected");
    this.#done.resolve();
  }

  /** Emits text until the turn ends, stores the final state, then emits the end. */
  async run({ generation, ...context }: TurnContext): Promise<TurnResult> {
    const { events, reply } = this;
    try {
      const readHistory = () => this.#readHistory(context.store);
      // The initial state of a streamed turn refers to the history already. Reading it can wait
      // until the first text was sent.
      let history = context.initialState === null ? readHistory() : undefined;
      for await (const { tokens, logprobs } of generation) {
        this.meter.onTokens(tokens.length);
        logprobs?.forEach((token, i) => this.#tokenLog?.push(tokens[i], token));
        this.#emit(tokens.map((token) => reply.push(token)).join(""));
        history ??= readHistory();
        if (events.unreadTokens > (this.#maxUnreadTokens ?? Infinity)) {
          this.cancel("client_too_slow");
        }
      }
      const finished = await generation.finished;
      this.#assertHasResult(finished, context.initialState !== null);
      if (finished.reason !== "stop") this.#emit(reply.flushDisplayable());
      const open = finished.reason !== "stop";
      const encoded = this.store && finished.state
        ? encodeForStorage(finished.state, { open, model: context.model })
        : null;
      const { info, ...failure }: StoredTurn = encoded === null
        ? { info: context.initialState }
        : await this.#storeResult(finished, {
          ...context,
          encoded,
          history: history ?? readHistory(),
        });
      if (info?.state) generation.keepWarm(info.state.id, encoded?.roundedState);
      const end: TurnEnd = {
        finishReason: finished.reason === "stop" ? "stop" : "length",
        usage: this.#usage(finished.sampledTokens),
        stateId: info && this.stateId,
        ...failure,
      };
      this.meter.ended(finished.reason, generation.queuedMs, end.usage);
      if (this.#isInterrupted(finished)) throw this.#interruption(end.stateId);
      events.push({ type: "end", ...end });
      if (info?.moved === false) throw this.#conflict();
      events.end();
      const collected = this.#tokenLog && this.#maxUnreadTokens === null
        ? { tokens: this.#emittedTokens }
        : {};
      return { ...end, text: this.#text, ...collected };
    } catch (error) {
      this.meter.failed(error);
      events.fail(error);
      throw error;
    } finally {
      this.#done.resolve();
    }
  }

  /** Whether the worker has cancelled the turn because it shuts down. */
  #isInterrupted({ reason }: GenerationResult): boolean {
    return reason === "cancelled" &&
      !["client_disconnected", "client_too_slow"].includes(this.signal.reason);
  }

  /** A shutdown is an error, so that clients retry elsewhere. */
  #interruption(stateId: string | null): InferenceError {
    return new InferenceError(
      "shutting_down",
      "This worker is shutting down; " +
        (stateId === null
          ? "retry on another worker"
          : `the reply so far is stored as state "${stateId}"; resume it with state_id on another worker`),
      stateId === null ? {} : { stateId },
    );
  }

  /** Throws if the turn ended without a result to store, unless the client knows its id already. */
  #assertHasResult(finished: GenerationResult, hasInitialState: boolean): void {
    const { reason, state, sampledTokens } = finished;
    if (this.#isInterrupted(finished) && !(hasInitialState && sampledTokens > 0)) {
      throw this.#interruption(null);
    }
    if (hasInitialState) return;
    if (reason === "cancelled") {
      const why = this.signal.reason === "client_too_slow"
        ? `Cannot continue the stream: the log probabilities of ${this.#maxUnreadTokens} tokens are ` +
          "unread; read faster or request fewer top_logprobs"
        : "The client disconnected";
      throw new InferenceError("cancelled", why);
    }
    if (reason !== "timeout" || state !== null) return;
    throw new InferenceError(
      "overloaded",
      "Cannot run the turn: no slot was free within its time limit; retry later",
    );
  }

  /** Stores the final state. If that fails, the client still gets the reply, with a warning. */
  async #storeResult(
    finished: GenerationResult,
    { store, model, initialState, encoded, history }: Omit<TurnContext, "generation"> & {
      encoded: StoredEncoding;
      history: Promise<Uint8Array | null>;
    },
  ): Promise<StoredTurn> {
    const { stateId, ttl, resumePoint: { info, conversation } } = this;
    const saved = this.meter.startStateSave();
    try {
      const snapshot = this.#finalSnapshot(finished);
      const from = snapshot.earlier
        ? { after: snapshot.earlier.hash }
        : { model: model.fingerprint };
      const hashes = await store.prefixes.prefixHashes(
        from,
        snapshot.transcript.map(canonicalMessage),
      );
      const { hasHiddenText } = this.reply;
      const prefix = snapshot.rawText || hasHiddenText ? undefined : hashes.at(-1);
      const names = { prefix, conversation, imported: info?.imported };
      const next = archiveTurn(snapshot, this.#archivedCount, hashes);
      const content: StateContent = {
        state: encoded.bytes,
        // The transcript does not show all text that the state has processed, so prefix caching
        // must not find this state or a later one.
        turn: encodeSnapshot(
          hasHiddenText ? { ...next, earlier: isolatedPrefix(next.earlier, "stop") } : next,
        ),
        history: await appendEntries(
          await history,
          snapshot.transcript.slice(0, this.#archivedCount),
        ),
        note: this.report({
          finishReason: finished.reason === "stop" ? "stop" : "length",
          usage: this.#usage(finished.sampledTokens),
          text: this.#text,
        }),
        tokens: snapshot.processedTokens,
        open: finished.reason !== "stop",
      };
      const parent = info?.id ?? null;
      const stored = initialState === null
        ? await store.save(content, { id: stateId, model, ttl, parent, ...names })
        : await store.commit(initialState, content, names);
      saved(stored);
      return { info: stored };
    } catch (error) {
      saved(null);
      if (!(error instanceof InferenceError)) throw error;
      return { info: null, warning: `The reply is not stored: ${error.message}` };
    }
  }

  #conflict(): InferenceError {
    const id = this.resumePoint.conversation?.id;
    return new InferenceError(
      "conversation_conflict",
      `Cannot advance conversation "${id}": another request changed it during this turn; the reply ` +
        `is stored as state "${this.stateId}", resume it with state_id`,
      { param: "conversation", stateId: this.stateId },
    );
  }

  /** Reads the history before the resumed turn. */
  #readHistory(store: StateStore): Promise<Uint8Array | null> {
    const { info } = this.resumePoint;
    const history = info === null ? Promise.resolve(null) : store.readHistory(info);
    history.catch(() => {}); // `#storeResult` reports it
    return history;
  }

  /** Number of messages to move to the history: those of the resumed turn. */
  get #archivedCount(): number {
    const { info, previous } = this.resumePoint;
    const before = info === null ? 0 : previous!.snapshot.transcript.length;
    return this.snapshot.transcript.length > before ? before : 0;
  }

  /** Returns the final snapshot, with all messages of the initial one. */
  #finalSnapshot(
    { reason, pendingTokens, sampledTokens }: GenerationResult,
  ): TurnSnapshot {
    const { snapshot, reply, counts } = this;
    const open = reason !== "stop";
    return {
      pending: open ? pendingTokens : reply.closingTokens(pendingTokens),
      processedTokens: snapshot.processedTokens + snapshot.pending.length + sampledTokens -
        pendingTokens.length,
      position: snapshot.position + sampledTokens,
      seed: snapshot.seed,
      counts,
      undisplayedBytes: open ? reply.undisplayedBytes : new Uint8Array(),
      earlier: snapshot.earlier,
      transcript: [...snapshot.transcript.slice(0, -1), { role: "assistant", content: reply.text }],
      ...(snapshot.rawText ? { rawText: true } : {}),
      ...(snapshot.instructions ? { instructions: snapshot.instructions } : {}),
    };
  }

  /** The text that this turn has added to the reply. */
  get #text(): string {
    const { transcript } = this.snapshot;
    return this.reply.text.slice(transcript[transcript.length - 1].content.length);
  }

  #usage(sampled: number): Usage {
    const promptTokens = this.snapshot.processedTokens + this.snapshot.pending.length;
    return {
      prompt_tokens: promptTokens,
      completion_tokens: sampled,
      total_tokens: promptTokens + sampled,
      prompt_tokens_details: {
        cached_tokens: this.snapshot.processedTokens - this.resumePoint.newlyProcessedTokens,
      },
    };
  }

  #emit(text: string): void {
    if (text === "") return;
    const tokens = this.#tokenLog?.take(this.reply.displayedByteCount);
    // In a stream, the events keep the tokens until they are read.
    if (this.#maxUnreadTokens === null) this.#emittedTokens.push(...tokens ?? []);
    this.events.push({ type: "text", text, ...(tokens ? { tokens } : {}) });
  }
}

/** A turn as this process runs it, from its first token to the state that is stored of it. */

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
  /** Id of the state that it leads to. */
  stateId: string;
  /** What it begins with. */
  snapshot: TurnSnapshot;
  reply: Reply;
  /** How often each token was sampled so far; changed as the turn goes on. */
  counts: Map<number, number>;
  resumePoint: ResumePoint;
  /** Milliseconds that the state lasts; the store's own unless told. */
  ttl?: number | undefined;
  /** Epoch milliseconds. */
  created: number;
  /** Whether the state is stored. */
  store: boolean;
  /** Any JSON that is kept with it. */
  note?: unknown;
  /** Where tokens are to be told. */
  tokenLog?: TokenLog | undefined;
  /**
   * Tokens of a stream that may wait for its client to read what is told of them; `null`: it is not
   * streamed, and they are held for its result.
   */
  maxUnreadTokens: number | null;
  meter: TurnMeter;
}

/** What becomes known when a turn has been taken. */
export interface TurnContext {
  generation: Generation;
  /** The state as it stands in the store meanwhile; `null` for a turn that is not streamed. */
  initialState: StateInfo | null;
  store: StateStore;
  model: SessionModel;
}

/** What the store has of a turn; nothing, for the reason that is told. */
interface StoredTurn {
  info: (StateInfo & Partial<StoredState>) | null;
  warning?: string;
}

/** Why a turn is cut short: its client has left or reads too slowly, or this worker is to end. */
export type CancelReason = "gone" | "unread" | "interrupted";

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
  readonly #log: TokenLog | undefined;
  readonly #mostUnread: number | null;
  readonly meter: TurnMeter;
  readonly #told: TextToken[] = [];
  readonly events: EventQueue = new EventQueue();
  readonly #controller = new AbortController();
  readonly #done = deferred<void>();

  constructor(
    {
      stateId,
      snapshot: snapshot,
      reply,
      counts,
      resumePoint: origin,
      ttl,
      tokenLog: log,
      ...rest
    }: RunningTurnOptions,
  ) {
    this.stateId = stateId;
    this.snapshot = snapshot;
    this.reply = reply;
    this.counts = counts;
    this.resumePoint = origin;
    this.ttl = ttl;
    this.created = rest.created;
    this.store = rest.store;
    this.#note = rest.note;
    this.#log = log;
    this.#mostUnread = rest.maxUnreadTokens;
    this.meter = rest.meter;
  }

  /** Aborted when the turn is cut short. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves when it is over, and stored if it is to be. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** What is kept for the client; `null` where it gave nothing for that. */
  report(end: ReportedResult | null): Uint8Array | null {
    const { created } = this;
    return this.#note === undefined ? null : encodeReport({ note: this.#note, created, end });
  }

  cancel(reason: CancelReason): void {
    this.#controller.abort(reason);
  }

  /** Ends a turn that is not to be run. */
  abandon(): void {
    this.cancel("gone");
    this.#done.resolve();
  }

  /** Passes on text until the turn's end, stores what it came to, and says so. */
  async run({ generation, ...underway }: TurnContext): Promise<TurnResult> {
    const { events, reply } = this;
    try {
      const readHistory = () => this.#readHistory(underway.store);
      // A turn that is streamed holds it, and its first words come first.
      let history = underway.initialState === null ? readHistory() : undefined;
      for await (const { tokens, logprobs } of generation) {
        this.meter.onTokens(tokens.length);
        logprobs?.forEach((told, i) => this.#log?.push(tokens[i], told));
        this.#show(tokens.map((token) => reply.push(token)).join(""));
        history ??= readHistory();
        if (events.unreadTokens > (this.#mostUnread ?? Infinity)) this.cancel("unread");
      }
      const finished = await generation.finished;
      this.#assertWanted(finished, underway.initialState !== null);
      if (finished.reason !== "stop") this.#show(reply.flushDisplayable());
      const open = finished.reason !== "stop";
      const kept = this.store && finished.state
        ? encodeForStorage(finished.state, { open, model: underway.model })
        : null;
      const { info, ...failure }: StoredTurn = kept === null
        ? { info: underway.initialState }
        : await this.#store(finished, { ...underway, kept, history: history ?? readHistory() });
      if (info?.state) generation.keepWarm(info.state.id, kept?.roundedState);
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
      const told = this.#log && this.#mostUnread === null ? { tokens: this.#told } : {};
      return { ...end, text: this.#text, ...told };
    } catch (error) {
      this.meter.failed(error);
      events.fail(error);
      throw error;
    } finally {
      this.#done.resolve();
    }
  }

  /** Whether the worker has ended the turn, which is shutting down. */
  #isInterrupted({ reason }: GenerationResult): boolean {
    return reason === "cancelled" && !["gone", "unread"].includes(this.signal.reason);
  }

  /** A shutdown is never reported as an answer. */
  #interruption(stateId: string | null): InferenceError {
    return new InferenceError(
      "shutting_down",
      "This worker is shutting down; " +
        (stateId === null
          ? "try another one"
          : `the reply so far is kept as state "${stateId}", which state_id resumes on another one`),
      stateId === null ? {} : { stateId },
    );
  }

  /** What has come to nothing is not stored, unless its id is known already. */
  #assertWanted(finished: GenerationResult, begun: boolean): void {
    const { reason, state, sampledTokens: sampled } = finished;
    if (this.#isInterrupted(finished) && !(begun && sampled > 0)) throw this.#interruption(null);
    if (begun) return;
    if (reason === "cancelled") {
      const why = this.signal.reason === "unread"
        ? `The stream was ended: log probabilities of ${this.#mostUnread} tokens waited for its ` +
          "client; read faster, or ask for fewer top_logprobs"
        : "The client has gone";
      throw new InferenceError("cancelled", why);
    }
    if (reason !== "late" || state !== null) return;
    throw new InferenceError("overloaded", "No slot was free in all the time that a turn may take");
  }

  /** A reply is its client's whether or not it can be stored. */
  async #store(
    finished: GenerationResult,
    { store, model, initialState: begun, kept, history }: Omit<TurnContext, "generation"> & {
      kept: StoredEncoding;
      history: Promise<Uint8Array | null>;
    },
  ): Promise<StoredTurn> {
    const { stateId: id, ttl, resumePoint: { info, conversation } } = this;
    const saved = this.meter.startStateSave();
    try {
      const record = this.#record(finished);
      const from = record.earlier ? { after: record.earlier.hash } : { model: model.fingerprint };
      const hashes = await store.prefixes.prefixHashes(
        from,
        record.transcript.map(canonicalMessage),
      );
      const { hasHiddenText: hidesText } = this.reply;
      const prefix = record.rawText || hidesText ? undefined : hashes.at(-1);
      const names = { prefix, conversation, imported: info?.imported };
      const next = archiveTurn(record, this.#sealed, hashes);
      const content: StateContent = {
        state: kept.bytes,
        // What goes on from a text that is not shown is not found by its words either.
        turn: encodeSnapshot(
          hidesText ? { ...next, earlier: isolatedPrefix(next.earlier, "stop") } : next,
        ),
        history: await appendEntries(await history, record.transcript.slice(0, this.#sealed)),
        note: this.report({
          finishReason: finished.reason === "stop" ? "stop" : "length",
          usage: this.#usage(finished.sampledTokens),
          text: this.#text,
        }),
        tokens: record.processedTokens,
        open: finished.reason !== "stop",
      };
      const parent = info?.id ?? null;
      const stored = begun === null
        ? await store.save(content, { id, model, ttl, parent, ...names })
        : await store.commit(begun, content, names);
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
      `Conversation "${id}" has gone on elsewhere since this turn began; the reply is kept as ` +
        `state "${this.stateId}", which state_id resumes`,
      { param: "conversation", stateId: this.stateId },
    );
  }

  /** What came before the turn that this one goes on from. */
  #readHistory(store: StateStore): Promise<Uint8Array | null> {
    const { info } = this.resumePoint;
    const history = info === null ? Promise.resolve(null) : store.readHistory(info);
    history.catch(() => {}); // told when the turn is stored
    return history;
  }

  /** Messages of the transcript that later turns do not need: those of the turn before. */
  get #sealed(): number {
    const { info, previous } = this.resumePoint;
    const before = info === null ? 0 : previous!.snapshot.transcript.length;
    return this.snapshot.transcript.length > before ? before : 0;
  }

  /** The record of a turn that has ended, with all the messages that it began with. */
  #record(
    { reason, pendingTokens: pending, sampledTokens: sampled }: GenerationResult,
  ): TurnSnapshot {
    const { snapshot: plan, reply, counts } = this;
    const open = reason !== "stop";
    return {
      pending: open ? pending : reply.closingTokens(pending),
      processedTokens: plan.processedTokens + plan.pending.length + sampled - pending.length,
      position: plan.position + sampled,
      seed: plan.seed,
      counts,
      undisplayedBytes: open ? reply.held : new Uint8Array(),
      earlier: plan.earlier,
      transcript: [...plan.transcript.slice(0, -1), { role: "assistant", content: reply.text }],
      ...(plan.rawText ? { rawText: true } : {}),
      ...(plan.instructions ? { instructions: plan.instructions } : {}),
    };
  }

  /** What this turn has added to the reply. */
  get #text(): string {
    const { transcript } = this.snapshot;
    return this.reply.text.slice(transcript[transcript.length - 1].content.length);
  }

  #usage(sampled: number): Usage {
    const read = this.snapshot.processedTokens + this.snapshot.pending.length;
    return {
      prompt_tokens: read,
      completion_tokens: sampled,
      total_tokens: read + sampled,
      prompt_tokens_details: {
        cached_tokens: this.snapshot.processedTokens - this.resumePoint.processedNow,
      },
    };
  }

  #show(text: string): void {
    if (text === "") return;
    const tokens = this.#log?.take(this.reply.displayedByteCount);
    // A stream's are held by its events until they are read.
    if (this.#mostUnread === null) this.#told.push(...tokens ?? []);
    this.events.push({ type: "text", text, ...(tokens ? { tokens } : {}) });
  }
}

/** A turn as this process runs it, from its first token to the state that is stored of it. */

import { InferenceError } from "../core/errors.ts";
import type { FinishedTurn, Generation } from "../scheduler/scheduler_types.ts";
import { encodeState } from "../store/state_codec.ts";
import type { StateContent, StateInfo, StateStore } from "../store/state_store.ts";
import type { Reply } from "./reply.ts";
import type { SessionModel, TurnResult, Usage } from "./session_types.ts";
import { EventQueue } from "./turn.ts";
import { encodeRecord, type TurnRecord } from "./turn_record.ts";

export interface RunningTurnOptions {
  /** Id of the state that it leads to. */
  stateId: string;
  /** What it begins with. */
  plan: TurnRecord;
  reply: Reply;
  /** How often each token was sampled so far; changed as the turn goes on. */
  counts: Map<number, number>;
}

/** What becomes known when a turn has been taken. */
export interface TurnUnderway {
  generation: Generation;
  parent: StateInfo | null;
  /** The state as it stands in the store meanwhile; `null` for a turn that is not streamed. */
  begun: StateInfo | null;
  store: StateStore;
  model: SessionModel;
}

/** Why a turn is cut short: its client has left, or this worker is to end. */
export type CutReason = "gone" | "interrupted";

export class RunningTurn {
  readonly stateId: string;
  readonly plan: TurnRecord;
  readonly reply: Reply;
  readonly counts: Map<number, number>;
  readonly events: EventQueue = new EventQueue();
  readonly #controller = new AbortController();
  readonly #done = Promise.withResolvers<void>();

  constructor({ stateId, plan, reply, counts }: RunningTurnOptions) {
    this.stateId = stateId;
    this.plan = plan;
    this.reply = reply;
    this.counts = counts;
  }

  /** Aborted when the turn is cut short. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves when it is over, and stored if it is to be. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  cut(reason: CutReason): void {
    this.#controller.abort(reason);
  }

  /** Ends a turn that is not to be run. */
  abandon(): void {
    this.cut("gone");
    this.#done.resolve();
  }

  /** Passes on text until the turn's end, stores what it came to, and says so. */
  async run({ generation, ...underway }: TurnUnderway): Promise<TurnResult> {
    const { events, reply, plan } = this;
    try {
      for await (const tokens of generation) {
        this.#show(tokens.map((token) => reply.push(token)).join(""));
      }
      const finished = await generation.finished;
      this.#assertWanted(finished, underway.begun !== null);
      if (finished.reason !== "stop") this.#show(reply.cut());
      const { state } = await this.#store(finished, underway);
      if (state !== null) generation.keep(state.id);
      const end = {
        finishReason: finished.reason === "stop" ? "stop" as const : "length" as const,
        usage: this.#usage(finished.sampled),
        stateId: this.stateId,
      };
      events.push({ type: "end", ...end });
      events.end();
      const before = plan.transcript[plan.transcript.length - 1].content;
      return { ...end, text: reply.text.slice(before.length) };
    } catch (error) {
      events.fail(error);
      throw error;
    } finally {
      this.#done.resolve();
    }
  }

  /** What has come to nothing is not stored, unless its id is known already. */
  #assertWanted({ reason, state }: FinishedTurn, begun: boolean): void {
    if (begun || (reason !== "cancelled" && reason !== "late")) return;
    if (reason === "cancelled" && this.signal.reason === "gone") {
      throw new InferenceError("cancelled", "The client has gone");
    }
    if (state !== null) return;
    throw reason === "late"
      ? new InferenceError("overloaded", "No slot was free in all the time that a turn may take")
      : new InferenceError("shutting_down", "This worker is shutting down; try another one");
  }

  async #store(
    finished: FinishedTurn,
    { store, model, begun, parent }: Omit<TurnUnderway, "generation">,
  ): Promise<StateInfo> {
    const content = this.#content(finished);
    if (content === null) return begun!;
    if (begun !== null) return await store.commit(begun, content);
    return await store.save(content, { id: this.stateId, model, parent: parent?.id ?? null });
  }

  /** What is stored of a turn that has ended; `null` if that is what it began with. */
  #content({ reason, state, pending, sampled }: FinishedTurn): StateContent | null {
    if (state === null) return null;
    const { plan, reply, counts } = this;
    const open = reason !== "stop";
    const record: TurnRecord = {
      pending: open ? pending : reply.close(pending),
      absorbed: plan.absorbed + plan.pending.length + sampled - pending.length,
      position: plan.position + sampled,
      seed: plan.seed,
      counts,
      held: open ? reply.held : new Uint8Array(),
      transcript: [...plan.transcript.slice(0, -1), { role: "assistant", content: reply.text }],
    };
    return { state: encodeState(state), turn: encodeRecord(record), open };
  }

  #usage(sampled: number): Usage {
    const read = this.plan.absorbed + this.plan.pending.length;
    return {
      prompt_tokens: read,
      completion_tokens: sampled,
      total_tokens: read + sampled,
      prompt_tokens_details: { cached_tokens: this.plan.absorbed },
    };
  }

  #show(text: string): void {
    if (text !== "") this.events.push({ type: "text", text });
  }
}

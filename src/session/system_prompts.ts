/**
 * System prompts that conversations begin with: each is read once, stored, and found by its hash
 * from then on, by every worker.
 */

import { InferenceError } from "../core/errors.ts";
import { NEUTRAL_SAMPLING } from "../core/sampling.ts";
import type { TurnRunner } from "../scheduler/scheduler_types.ts";
import type { StateInfo, StateStore } from "../store/states/state_store.ts";
import { isSystem, type Message, messageText, REPLY_START } from "../prompt/chat_template.ts";
import { keepState } from "./stored_encoding.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import type { SessionModel, TurnAccount } from "./session_types.ts";
import type { PromptBounds } from "./turn_bounds.ts";
import { encodeMessages } from "./turn_plan.ts";
import { encodeRecord, type TurnRecord } from "./turn_record.ts";

export interface SystemPromptsOptions {
  store: StateStore;
  runner: TurnRunner;
  tokenizer: TokenCodec;
  model: SessionModel;
}

/** A system prompt that has been read. */
export interface ReadPrompt {
  info: StateInfo;
  record: TurnRecord;
  /** Messages that it consists of. */
  count: number;
}

/** For whom one is read. */
export interface PromptReader {
  /** Ends it. */
  signal: AbortSignal | undefined;
  /** Whom it is charged to. */
  account: TurnAccount | undefined;
}

/** Tokens from which on a system prompt is kept: fewer are read sooner than a state is fetched. */
const LEAST_TOKENS = 32;

export class SystemPrompts {
  readonly #options: SystemPromptsOptions;
  /** Those that are being read, by hash. */
  readonly #reading = new Map<string, Promise<ReadPrompt | null>>();

  constructor(options: SystemPromptsOptions) {
    this.#options = options;
  }

  /**
   * Reads and stores the system prompt that `messages` begin with.
   *
   * @param hashes After each message.
   * @param options.bounds Of the whole request, this prompt included.
   * @returns `null` if there is none, or it is too short, or what follows must not wait for it.
   */
  async read(
    messages: readonly Message[],
    hashes: readonly string[],
    { bounds, ...reader }: PromptReader & { bounds: PromptBounds },
  ): Promise<ReadPrompt | null> {
    const end = messages.findIndex((message) => !isSystem(message));
    if (end <= 0) return null;
    const prompt = messages.slice(0, end);
    const tokenizer = bounds.codec(this.#options.tokenizer);
    const tokens = await encodeMessages(prompt, tokenizer);
    if (tokens.length < LEAST_TOKENS) return null;
    const rest = await encodeMessages(messages.slice(end), tokenizer);
    bounds.assertFits(tokens.length + rest.length + tokenizer.encode(REPLY_START).length);
    const hash = hashes[end - 1];
    const others = this.#reading.get(hash);
    if (others) return await others;
    const reading = this.#read(prompt, tokens, { ...reader, hash })
      .finally(() => this.#reading.delete(hash));
    this.#reading.set(hash, reading);
    return await reading;
  }

  async #read(
    prompt: readonly Message[],
    tokens: readonly number[],
    { hash, signal, account }: PromptReader & { hash: string },
  ): Promise<ReadPrompt | null> {
    const { store, runner, model } = this.#options;
    const generation = runner.submit({
      key: store.tenant,
      state: null,
      tokens,
      sampling: { ...NEUTRAL_SAMPLING, seed: 0n },
      counts: new Map(),
      position: 0,
      maxTokens: 0,
      endToken: null,
      stops: null,
      signal,
    });
    const charge = account?.charge(tokens.length);
    const { reason, state, pending } = await generation.finished;
    charge?.unread(pending.length);
    if (reason !== "length" || state === null) return null;
    const record: TurnRecord = {
      pending,
      absorbed: tokens.length - pending.length,
      position: 0,
      seed: 0n,
      counts: new Map(),
      held: new Uint8Array(),
      earlier: null,
      transcript: prompt.map((message) => ({
        role: message.role,
        content: messageText(message),
      })),
    };
    try {
      const open = false;
      const { bytes, rounded } = keepState(state, { open, model });
      const content = {
        state: bytes,
        turn: encodeRecord(record),
        open,
        tokens: record.absorbed,
      };
      const names = { id: store.newId(), model, parent: null, prefix: hash };
      const info = await store.save(content, names);
      generation.keep(info.state!.id, rounded);
      return { info, record, count: prompt.length };
    } catch (error) {
      if (error instanceof InferenceError && error.code === "store_unavailable") return null;
      throw error;
    }
  }
}

/**
 * System prompts that conversations begin with: each is read once, stored, and found by its hash
 * from then on, by every worker.
 */

import { InferenceError } from "../core/errors.ts";
import { NEUTRAL_SAMPLING } from "../core/sampling.ts";
import type { GenerationRunner } from "../scheduler/scheduler_types.ts";
import type { StateInfo, StateStore } from "../store/states/state_store.ts";
import { isSystem, type Message, messageText, REPLY_START } from "../prompt/chat_template.ts";
import { encodeForStorage, encodeSnapshot, type TurnSnapshot } from "./stored_turn.ts";
import type { TokenCodec } from "../prompt/reply.ts";
import type { SessionModel, TurnAccount } from "./session_types.ts";
import type { PromptLimits } from "./generation_request.ts";
import { encodeMessages } from "./build_prompt.ts";

export interface SystemPromptsOptions {
  store: StateStore;
  runner: GenerationRunner;
  tokenizer: TokenCodec;
  model: SessionModel;
}

/** A system prompt that has been read. */
export interface ProcessedPrompt {
  info: StateInfo;
  snapshot: TurnSnapshot;
  /** Messages that it consists of. */
  messageCount: number;
}

/** For whom one is read. */
export interface PromptContext {
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
  readonly #reading = new Map<string, Promise<ProcessedPrompt | null>>();

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
  async prefillAndStore(
    messages: readonly Message[],
    hashes: readonly string[],
    { bounds, ...reader }: PromptContext & { bounds: PromptLimits },
  ): Promise<ProcessedPrompt | null> {
    const end = messages.findIndex((message) => !isSystem(message));
    if (end <= 0) return null;
    const prompt = messages.slice(0, end);
    const tokenizer = bounds.limitCodec(this.#options.tokenizer);
    const tokens = await encodeMessages(prompt, tokenizer);
    if (tokens.length < LEAST_TOKENS) return null;
    const rest = await encodeMessages(messages.slice(end), tokenizer);
    bounds.assertWithinLimit(tokens.length + rest.length + tokenizer.encode(REPLY_START).length);
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
    { hash, signal, account }: PromptContext & { hash: string },
  ): Promise<ProcessedPrompt | null> {
    const { store, runner, model } = this.#options;
    const generation = runner.submit({
      fairnessKey: store.tenant,
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
    const { reason, state, pendingTokens: pending } = await generation.finished;
    charge?.refund(pending.length);
    if (reason !== "length" || state === null) return null;
    const record: TurnSnapshot = {
      pending,
      processedTokens: tokens.length - pending.length,
      position: 0,
      seed: 0n,
      counts: new Map(),
      undisplayedBytes: new Uint8Array(),
      earlier: null,
      transcript: prompt.map((message) => ({
        role: message.role,
        content: messageText(message),
      })),
    };
    try {
      const open = false;
      const { bytes, roundedState: rounded } = encodeForStorage(state, { open, model });
      const content = {
        state: bytes,
        turn: encodeSnapshot(record),
        open,
        tokens: record.processedTokens,
      };
      const names = { id: store.newId(), model, parent: null, prefix: hash };
      const info = await store.save(content, names);
      generation.keepWarm(info.state!.id, rounded);
      return { info, snapshot: record, messageCount: prompt.length };
    } catch (error) {
      if (error instanceof InferenceError && error.code === "store_unavailable") return null;
      throw error;
    }
  }
}

/**
 * Prefills the system prompt of a conversation once and stores the state, so that every worker
 * finds it in the prefix cache.
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

/** A prefilled system prompt. */
export interface ProcessedPrompt {
  info: StateInfo;
  snapshot: TurnSnapshot;
  /** Number of messages in it. */
  messageCount: number;
}

/** The request that needs the prompt. */
export interface PromptContext {
  /** Cancels the prefill. */
  signal: AbortSignal | undefined;
  /** The account to charge. */
  account: TurnAccount | undefined;
}

/** Minimum length of a stored prompt. Prefilling a shorter one is faster than loading its state. */
const MIN_TOKENS = 32;

export class SystemPrompts {
  readonly #options: SystemPromptsOptions;
  /** Prefills in progress, by hash. */
  readonly #inProgress = new Map<string, Promise<ProcessedPrompt | null>>();

  constructor(options: SystemPromptsOptions) {
    this.#options = options;
  }

  /**
   * Prefills and stores the system prompt at the beginning of `messages`.
   *
   * @param hashes The hash after each message.
   * @param options.promptLimits Limits of the whole request, this prompt included.
   * @returns `null` if there is no prompt, if it is too short, or if it could not be stored
   */
  async prefillAndStore(
    messages: readonly Message[],
    hashes: readonly string[],
    { promptLimits, ...context }: PromptContext & { promptLimits: PromptLimits },
  ): Promise<ProcessedPrompt | null> {
    const end = messages.findIndex((message) => !isSystem(message));
    if (end <= 0) return null;
    const prompt = messages.slice(0, end);
    const tokenizer = promptLimits.limitCodec(this.#options.tokenizer);
    const tokens = await encodeMessages(prompt, tokenizer);
    if (tokens.length < MIN_TOKENS) return null;
    const rest = await encodeMessages(messages.slice(end), tokenizer);
    promptLimits.assertWithinLimit(
      tokens.length + rest.length + tokenizer.encode(REPLY_START).length,
    );
    const hash = hashes[end - 1];
    const existing = this.#inProgress.get(hash);
    if (existing) return await existing;
    const prefilling = this.#prefill(prompt, tokens, { ...context, hash })
      .finally(() => this.#inProgress.delete(hash));
    this.#inProgress.set(hash, prefilling);
    return await prefilling;
  }

  async #prefill(
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
    const { reason, state, pendingTokens } = await generation.finished;
    charge?.refund(pendingTokens.length);
    if (reason !== "length" || state === null) return null;
    const record: TurnSnapshot = {
      pending: pendingTokens,
      processedTokens: tokens.length - pendingTokens.length,
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
      const { bytes, roundedState } = encodeForStorage(state, { open, model });
      const content = {
        state: bytes,
        turn: encodeSnapshot(record),
        open,
        tokens: record.processedTokens,
      };
      const names = { id: store.newId(), model, parent: null, prefix: hash };
      const info = await store.save(content, names);
      generation.keepWarm(info.state!.id, roundedState);
      return { info, snapshot: record, messageCount: prompt.length };
    } catch (error) {
      if (error instanceof InferenceError && error.code === "store_unavailable") return null;
      throw error;
    }
  }
}

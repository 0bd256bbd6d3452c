/** A toy tokenizer, a toy model behind the runner's interface, and sessions over both. */

import assert from "node:assert/strict";
import { type ErrorCode, InferenceError } from "../../src/core/errors.ts";
import type { Constraint, StopSearch } from "../../src/core/sampling.ts";
import type {
  Generation,
  GenerationRequest,
  GenerationResult,
  GenerationRunner,
} from "../../src/scheduler/scheduler_types.ts";
import { advanceStopSearch, createStopSearch } from "../../src/core/stop_search.ts";
import { TokenQueue } from "../../src/scheduler/scheduled_turn.ts";
import type { TokenCodec } from "../../src/prompt/reply.ts";
import type { TurnEvent, TurnRequest, TurnResult } from "../../src/session/session_types.ts";
import { Sessions, type SessionsOptions } from "../../src/session/sessions.ts";
import { decodeSnapshot } from "../../src/session/stored_turn.ts";
import type { Backend } from "../../src/store/backends/backend.ts";
import { MemoryBackend } from "../../src/store/backends/memory.ts";
import { decodeState } from "../../src/store/states/state_codec.ts";
import { StateStore, type StateStoreOptions } from "../../src/store/states/state_store.ts";

/**
 * Ids 1 to 256 are bytes, followed by these words; 0 ends a text, and the remaining rows are
 * padding.
 */
const WORDS = ["\n\n", "\n\n\n", ".\n\n", " Hello", " wörld", "User:", "Assistant:", "stop", "€"];
export const VOCABULARY = 272;

export class ToyTokenizer implements TokenCodec {
  readonly endOfText = 0;
  readonly #tokens: (Uint8Array | undefined)[] = [undefined];
  /** Ids by the first byte of their tokens. */
  readonly #ids = new Map<number, number[]>();

  constructor() {
    for (let byte = 0; byte < 256; byte++) this.#tokens.push(Uint8Array.of(byte));
    for (const word of WORDS) this.#tokens.push(new TextEncoder().encode(word));
    for (const [id, token] of this.#tokens.entries()) {
      if (token) this.#ids.set(token[0], [...this.#ids.get(token[0]) ?? [], id]);
    }
  }

  tokenBytes(id: number): Uint8Array | undefined {
    return this.#tokens[id];
  }

  encode(text: string, most = Infinity): number[] {
    const bytes = new TextEncoder().encode(text);
    const ids: number[] = [];
    for (let at = 0; at < bytes.length && ids.length <= most;) {
      let best = 0;
      for (const id of this.#ids.get(bytes[at])!) {
        const token = this.#tokens[id]!;
        const longer = best === 0 || token.length > this.#tokens[best]!.length;
        if (longer && token.every((byte, i) => bytes[at + i] === byte)) best = id;
      }
      ids.push(best);
      at += this.#tokens[best]!.length;
    }
    return ids;
  }

  decode(ids: readonly number[]): string {
    const bytes = ids.flatMap((id) => [...this.#tokens[id] ?? []]);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  }
}

export const tokenizer = new ToyTokenizer();

const SHAPE = { layers: 1, width: 1, headSize: 1 };
const NUMBERS = 3;

/** One step of the toy model: every token changes every number, exactly. */
export function toyStep(state: Float32Array | null, tokens: readonly number[]): Float32Array {
  const next = state?.slice() ?? new Float32Array(NUMBERS);
  for (const token of tokens) {
    for (let i = 0; i < NUMBERS; i++) next[i] = (next[i] * (31 + i) + token * 17 + i + 1) % 65_521;
  }
  return next;
}

export interface ToyRunnerOptions {
  /** Tokens to sample, by position in the conversation; otherwise the state and the seed decide. */
  script?: readonly number[] | undefined;
  /** Called before each token. If it throws, the turn fails. */
  before?: ((sampled: number) => Promise<void> | void) | undefined;
}

/** Runs turns as the scheduler does, on the toy model. */
export class ToyRunner implements GenerationRunner {
  readonly works: GenerationRequest[] = [];
  /** Keys of the final states of turns, in order. */
  readonly warmStateKeys: string[] = [];
  /** Replacements of final states, by key. */
  readonly replacedStates = new Map<string, Float32Array>();
  readonly #options: ToyRunnerOptions;

  constructor(options: ToyRunnerOptions = {}) {
    this.#options = options;
  }

  prepareConstraint(_constraint: Constraint): Promise<void> {
    return Promise.resolve();
  }

  submitAll(requests: readonly GenerationRequest[]): Generation[] {
    return requests.map((request) => this.submit(request));
  }

  submit(request: GenerationRequest): Generation {
    this.works.push(request);
    const tokens = new TokenQueue();
    const stops = request.stops && createStopSearch(request.stops);
    const finished = this.#run(request, stops, tokens);
    finished.then(() => tokens.end(), (error) => tokens.end(error));
    return {
      finished,
      queuedMs: 0,
      keepWarm: (key, state) => {
        this.warmStateKeys.push(key);
        if (state) this.replacedStates.set(key, state);
      },
      [Symbol.asyncIterator]: () => tokens[Symbol.asyncIterator](),
    };
  }

  async #run(
    request: GenerationRequest,
    stops: StopSearch | null,
    tokens: TokenQueue,
  ): Promise<GenerationResult> {
    const start = await request.state?.load() ?? null;
    let state = start;
    let pending = [...request.tokens];
    for (let sampled = 0;;) {
      await this.#options.before?.(sampled);
      const end = (reason: GenerationResult["reason"]) => (
        {
          reason,
          state: state === start ? null : state,
          pendingTokens: pending,
          sampledTokens: sampled,
        }
      );
      if (request.signal?.aborted) return end("cancelled");
      if (request.maxTokens === 0) {
        state = toyStep(state, pending.splice(0, pending.length - 1));
        return end("length");
      }
      if (sampled === request.maxTokens) return end("length");
      state = toyStep(state, pending);
      const token = this.#sample(request, state, sampled);
      request.counts.set(token, (request.counts.get(token) ?? 0) + 1);
      pending = [token];
      sampled++;
      const tokenLogprobs = {
        logprob: -token,
        top: [{ token, logprob: -token }, { token: 1, logprob: -999 }],
      };
      const logprobs = request.logprobs === undefined ? {} : { logprobs: [tokenLogprobs] };
      tokens.push({ tokens: [token], ...logprobs });
      const stopped = stops &&
        advanceStopSearch(stops, tokenizer.tokenBytes(token) ?? new Uint8Array());
      if (stopped || token === request.endToken) return end("stop");
    }
  }

  #sample({ sampling, position, counts }: GenerationRequest, state: Float32Array, sampled: number) {
    const at = position + sampled;
    const { script } = this.#options;
    if (script !== undefined) return script[at] ?? 0;
    const [a, b] = toyStep(state, [at, Number(sampling.seed % 65_521n), counts.size]);
    // One in sixteen tokens ends the turn, one is half a character, the rest are letters.
    const choice = a % 16;
    if (choice === 0) return [0, 257, 258, 259][b % 4];
    if (choice === 1) return 1 + 10;
    if (choice === 2) return 1 + 0xc3 + b % 2 * (0xa4 - 0xc3);
    return 1 + 97 + (b % 26);
  }
}

export const MODEL = {
  id: "toy",
  fingerprint: "sha256:70f",
  quant: "int8",
  vocabulary: VOCABULARY,
  shape: SHAPE,
  codec: "f32" as const,
  created: 42,
};

export interface Harness {
  sessions: Sessions;
  runner: ToyRunner;
  store: StateStore;
  backend: Backend;
}

/** Creates sessions as a fresh process does, over existing data if given. */
export function harness(
  options: ToyRunnerOptions & Partial<SessionsOptions> & {
    backend?: Backend;
    storeOptions?: StateStoreOptions;
  } = {},
): Harness {
  const { backend = new MemoryBackend(), script, before, storeOptions, ...rest } = options;
  const runner = new ToyRunner({ script, before });
  const store = new StateStore(backend, storeOptions);
  const sessions = new Sessions({ runner, store, tokenizer, model: MODEL, ...rest });
  return { sessions, runner, store, backend };
}

export function user(content: string) {
  return { role: "user" as const, content };
}

/** Returns the toy tokenizer's ids of `text`, then `more`. */
export function ids(text: string, ...more: number[]): number[] {
  return [...tokenizer.encode(text), ...more];
}

/** Runs a turn and asserts that it is stored. */
export async function run(
  sessions: Sessions,
  request: TurnRequest,
): Promise<TurnResult & { stateId: string }> {
  const turn = await sessions.start(request);
  const { stateId, ...result } = await turn.result();
  assert.ok(stateId);
  return { ...result, stateId };
}

export async function collect(events: AsyncIterable<TurnEvent>): Promise<TurnEvent[]> {
  const collected: TurnEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

export async function stored({ store }: Harness, id: string | null) {
  const { state, turn, open } = await store.load(id!, { model: MODEL });
  return { state: state && decodeState(state), snapshot: decodeSnapshot(turn), open };
}

export function rejects(promise: Promise<unknown>, code: ErrorCode, message = /./): Promise<void> {
  return assert.rejects(
    promise,
    (error) =>
      error instanceof InferenceError && error.code === code && message.test(error.message),
  );
}

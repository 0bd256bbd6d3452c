/** Runs the clients of a simulation against real workers. */

import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import {
  randomWords,
  stopTokenBans,
  streamChat,
  type StreamedReply,
} from "../bench/stream_client.ts";
import { type Conversation, conversations, type Load } from "./load.ts";
import type { TurnTimes } from "./turn_times.ts";

/** Statuses of an overloaded worker. */
const BUSY = [429, 503];

/** Requests turns of given lengths, each with a different text. */
export class RealClient {
  readonly #tokenizer: Tokenizer;
  readonly #bans: Record<string, number>;
  #requests = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    this.#bans = stopTokenBans(tokenizer);
  }

  async requestTurn(
    url: string,
    { prompt, reply, stateId = null }: { prompt: number; reply: number; stateId?: string | null },
  ): Promise<StreamedReply> {
    const result = await streamChat(url, {
      messages: [{ role: "user", content: randomWords(this.#tokenizer, prompt, this.#requests++) }],
      max_tokens: reply,
      temperature: 0,
      logit_bias: this.#bans,
      ...(stateId === null ? {} : { state_id: stateId }),
    });
    if (BUSY.includes(result.status)) return result;
    if (result.status === 200 && result.completionTokens === reply) return result;
    throw new Error(
      `Expected a reply of ${reply} tokens, got ${result.completionTokens}, status ${result.status}`,
    );
  }
}

export interface DriveOptions {
  urls: readonly string[];
  load: Load;
  seed: number;
  /** Milliseconds after which no turn starts. */
  until: number;
  /** Called when the clients start. */
  onBegin: () => void;
}

/** Sends each turn to the next worker; resolves with all turns when the last has ended. */
export async function runClients(
  client: RealClient,
  { urls, load, seed, until, onBegin }: DriveOptions,
): Promise<TurnTimes[]> {
  const started = conversations(load, { seed, until });
  const states = new Map<Conversation, string | null>();
  for (const [i, conversation] of started.filter(({ hasState }) => hasState).entries()) {
    const { stateId } = await client.requestTurn(urls[i % urls.length], { prompt: 4, reply: 2 });
    states.set(conversation, stateId);
  }
  const turns: TurnTimes[] = [];
  let next = 0;
  const startedAt = performance.now();
  onBegin();
  const runConversation = async (conversation: Conversation) => {
    let stateId = states.get(conversation) ?? null;
    await delay(conversation.start);
    for (let index = 0; performance.now() - startedAt < until; index++) {
      const { prompt, reply, think } = conversation.turn(index);
      const url = urls[next++ % urls.length];
      const result = await client.requestTurn(url, { prompt, reply, stateId });
      const times = turnTimes(result, startedAt);
      turns.push(times);
      if (!times.rejected) stateId = result.stateId;
      if (think === null) return;
      await delay(think);
    }
  };
  await Promise.all(started.map(runConversation));
  return turns.sort((a, b) => a.requestedAt - b.requestedAt);
}

function turnTimes(result: StreamedReply, startedAt: number): TurnTimes {
  // Chunks do not carry token counts, so each chunk counts as the same number of tokens.
  const tokens = result.completionTokens / result.times.length;
  return {
    requestedAt: result.requestedAt - startedAt,
    chunks: result.times.map((at) => ({ at: at - startedAt, tokens })),
    endedAt: result.endedAt - startedAt,
    rejected: BUSY.includes(result.status),
    queueMs: null,
  };
}

/** Resolves after `ms` milliseconds. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

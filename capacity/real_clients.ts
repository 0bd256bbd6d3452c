/** The clients that are simulated, asking real workers. */

import type { Tokenizer } from "../src/tokenizer/tokenizer.ts";
import { type StreamedReply, streamChat, stopTokenBans, randomWords } from "../bench/stream_client.ts";
import { type Conversation, conversations, type Load } from "./load.ts";
import type { TurnTimes } from "./turn_times.ts";

/** Statuses with which a worker says that it has too much to do. */
const BUSY = [429, 503];

/** Asks for turns of given lengths, each of another text. */
export class RealClient {
  readonly #tokenizer: Tokenizer;
  readonly #bans: Record<string, number>;
  #asked = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    this.#bans = stopTokenBans(tokenizer);
  }

  async requestTurn(
    url: string,
    { prompt, reply, stateId = null }: { prompt: number; reply: number; stateId?: string | null },
  ): Promise<StreamedReply> {
    const answer = await streamChat(url, {
      messages: [{ role: "user", content: randomWords(this.#tokenizer, prompt, this.#asked++) }],
      max_tokens: reply,
      temperature: 0,
      logit_bias: this.#bans,
      ...(stateId === null ? {} : { state_id: stateId }),
    });
    if (BUSY.includes(answer.status)) return answer;
    if (answer.status === 200 && answer.completionTokens === reply) return answer;
    throw new Error(
      `a reply of ${reply} tokens has ${answer.completionTokens}, status ${answer.status}`,
    );
  }
}

export interface DriveOptions {
  urls: readonly string[];
  load: Load;
  seed: number;
  /** Milliseconds after which no turn is asked for any more. */
  until: number;
  /** Told when the clients begin. */
  onBegin: () => void;
}

/** Sends each turn to the next worker. Resolves with what came of all when the last has ended. */
export async function runClients(
  client: RealClient,
  { urls, load, seed, until, onBegin }: DriveOptions,
): Promise<TurnTimes[]> {
  const all = conversations(load, { seed, until });
  const states = new Map<Conversation, string | null>();
  for (const [i, conversation] of all.filter(({ hasState: begun }) => begun).entries()) {
    const { stateId } = await client.requestTurn(urls[i % urls.length], { prompt: 4, reply: 2 });
    states.set(conversation, stateId);
  }
  const turns: TurnTimes[] = [];
  let next = 0;
  const begin = performance.now();
  onBegin();
  const converse = async (conversation: Conversation) => {
    let stateId = states.get(conversation) ?? null;
    await delay(conversation.start);
    for (let index = 0; performance.now() - begin < until; index++) {
      const { prompt, reply, think } = conversation.turn(index);
      const url = urls[next++ % urls.length];
      const answer = await client.requestTurn(url, { prompt, reply, stateId });
      const times = timesOf(answer, begin);
      turns.push(times);
      if (!times.rejected) stateId = answer.stateId;
      if (think === null) return;
      await delay(think);
    }
  };
  await Promise.all(all.map(converse));
  return turns.sort((a, b) => a.requestedAt - b.requestedAt);
}

function timesOf(answer: StreamedReply, begin: number): TurnTimes {
  // Texts are told and tokens are not: each text counts for as many as any other.
  const tokens = answer.completionTokens / answer.times.length;
  return {
    requestedAt: answer.requestedAt - begin,
    chunks: answer.times.map((at) => ({ at: at - begin, tokens })),
    endedAt: answer.endedAt - begin,
    rejected: BUSY.includes(answer.status),
    queueMs: null,
  };
}

/** Resolves after so many milliseconds. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

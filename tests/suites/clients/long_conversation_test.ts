/**
 * Twelve turns through OpenAI's client against a worker that is killed and restarted in between:
 * the texts equal those of an uninterrupted worker, and no token is processed twice, with every
 * method of resuming.
 */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { startWorkerProcess } from "../e2e/worker_process.ts";
import { apiOf } from "./served.ts";

/** Each conversation contains its own name, so that none can reuse another one's states. */
const TURNS = [
  "Hi! My name is {}.",
  "Tell me a story.",
  "What is 3 + 4?",
  "My lucky number is 4711.",
  "Tell me a joke, please.",
  "What is my name?",
  "How are you today?",
  "Tell me a story about {}.",
  "What is 12 - 5?",
  "I like green tea.",
  "Tell me another story.",
  "What is my name, again?",
];

/** The worker is killed after these turns. */
const KILLED_AFTER = [0, 3, 4, 8];

const SETTINGS = { greedy: { temperature: 0 }, seeded: { temperature: 1, seed: 7 } };

interface Settings {
  temperature: number;
  seed?: number;
}

/** The result of a turn. */
interface TurnResult {
  text: string;
  /** Newly processed prompt tokens, and cached tokens. */
  newTokens: number;
  cached: number;
}

/** Runs the next turn; the closure keeps the history or the id to resume. */
type RunTurn = (client: OpenAI, message: string) => Promise<TurnResult>;

const METHODS: Record<string, (settings: Settings) => RunTurn> = {
  previous_response_id: (settings) => {
    let previous_response_id: string | null = null;
    return async (client, input) => {
      const request = { model: "default", input, previous_response_id, ...settings };
      const response: OpenAI.Responses.Response = await client.responses.create(request);
      previous_response_id = response.id;
      const { input_tokens, input_tokens_details: { cached_tokens } } = response.usage!;
      const text = response.output_text;
      return { text, newTokens: input_tokens - cached_tokens, cached: cached_tokens };
    };
  },
  state_id: (settings) => {
    let state_id: string | null = null;
    return async (client, content) => {
      const completion = await complete(client, [{ role: "user", content }], {
        ...settings,
        state_id,
      });
      state_id = completion.state_id;
      return turnResult(completion);
    };
  },
  "full history": (settings) => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [];
    return async (client, content) => {
      messages.push({ role: "user", content });
      const completion = await complete(client, messages, settings);
      messages.push({ role: "assistant", content: completion.choices[0].message.content });
      return turnResult(completion);
    };
  },
};

type Completion = OpenAI.ChatCompletion & { state_id: string };

async function complete(
  client: OpenAI,
  messages: OpenAI.ChatCompletionMessageParam[],
  settings: object,
): Promise<Completion> {
  const request = { model: "default", messages, ...settings };
  return await client.chat.completions.create(request) as Completion;
}

function turnResult({ choices, usage }: Completion): TurnResult {
  assert.equal(choices[0].finish_reason, "stop");
  const cached = usage!.prompt_tokens_details!.cached_tokens!;
  return { text: choices[0].message.content!, newTokens: usage!.prompt_tokens - cached, cached };
}

/** Runs all conversations concurrently, turn by turn; returns the results by name. */
async function runConversations(
  kv: string,
  killedAfter: readonly number[],
): Promise<Map<string, TurnResult[]>> {
  const conversations = Object.entries(METHODS).flatMap(([method, start]) =>
    Object.entries(SETTINGS).map(([name, settings]) => ({
      name: `${method}, ${name}`,
      runTurn: start(settings),
      results: [] as TurnResult[],
    }))
  );
  const start = () => startWorkerProcess(kv, { device: "cpu" });
  let worker = await start();
  try {
    for (const [turn, text] of TURNS.entries()) {
      const client = new OpenAI({ baseURL: apiOf(worker), apiKey: "none", maxRetries: 0 });
      await Promise.all(conversations.map(async ({ runTurn, results }, i) => {
        results.push(await runTurn(client, text.replace("{}", NAMES[i])));
      }));
      if (!killedAfter.includes(turn)) continue;
      await worker.kill();
      worker = await start();
    }
  } finally {
    await worker.kill();
  }
  return new Map(conversations.map(({ name, results }) => [name, results]));
}

const NAMES = ["Ada", "Ben", "Zorvin", "Mia", "Tom", "Lily"];

Deno.test("openai: twelve turns on a worker that is killed four times continue one conversation", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const uninterrupted = await runConversations(`${folder}/alone.sqlite3`, []);
    const killed = await runConversations(`${folder}/killed.sqlite3`, KILLED_AFTER);
    assert.equal(uninterrupted.size, 6);
    for (const [name, turns] of uninterrupted) {
      await t.step(`${name}: same texts as uninterrupted`, () => {
        assert.equal(turns.length, TURNS.length);
        assert.ok(new Set(turns.map(({ text }) => text)).size > 6, "the replies are alike");
        assert.deepEqual(killed.get(name), turns);
      });
      await t.step(`${name}: only new tokens were processed`, () => {
        for (const [i, { cached, newTokens }] of turns.entries()) {
          const before = i === 0 ? 0 : turns[i - 1].cached + turns[i - 1].newTokens;
          assert.ok(
            cached >= before,
            `turn ${i}: of ${before} processed tokens, ${cached} were cached`,
          );
          assert.ok(
            newTokens > 0 && newTokens < 24,
            `turn ${i}: ${newTokens} tokens were processed`,
          );
        }
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/**
 * Twelve turns through OpenAI's client, of a worker that is killed and started again in between:
 * the same texts as without, and nothing read twice, whichever way the client names what came
 * before.
 */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { startWorkerProcess } from "../e2e/worker_process.ts";
import { apiOf } from "./served.ts";

/** Each conversation has a name of its own in it, so that none finds what another has said. */
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

/** After these turns the worker is killed. */
const KILLED_AFTER = [0, 3, 4, 8];

const SETTINGS = { greedy: { temperature: 0 }, seeded: { temperature: 1, seed: 7 } };

interface Settings {
  temperature: number;
  seed?: number;
}

/** What a turn told. */
interface Told {
  text: string;
  /** Tokens that had to be read, and tokens that a state had absorbed. */
  fresh: number;
  cached: number;
}

/** Takes the next turn; what came before is the conversation's own to keep. */
type Say = (client: OpenAI, message: string) => Promise<Told>;

const WAYS: Record<string, (settings: Settings) => Say> = {
  previous_response_id: (settings) => {
    let previous_response_id: string | null = null;
    return async (client, input) => {
      const request = { model: "default", input, previous_response_id, ...settings };
      const response: OpenAI.Responses.Response = await client.responses.create(request);
      previous_response_id = response.id;
      const { input_tokens, input_tokens_details: { cached_tokens } } = response.usage!;
      const text = response.output_text;
      return { text, fresh: input_tokens - cached_tokens, cached: cached_tokens };
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
      return told(completion);
    };
  },
  "the whole history": (settings) => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [];
    return async (client, content) => {
      messages.push({ role: "user", content });
      const completion = await complete(client, messages, settings);
      messages.push({ role: "assistant", content: completion.choices[0].message.content });
      return told(completion);
    };
  },
};

type Completion = OpenAI.ChatCompletion & { state_id: string };

async function complete(
  client: OpenAI,
  messages: OpenAI.ChatCompletionMessageParam[],
  more: object,
): Promise<Completion> {
  const request = { model: "default", messages, ...more };
  return await client.chat.completions.create(request) as Completion;
}

function told({ choices, usage }: Completion): Told {
  assert.equal(choices[0].finish_reason, "stop");
  const cached = usage!.prompt_tokens_details!.cached_tokens!;
  return { text: choices[0].message.content!, fresh: usage!.prompt_tokens - cached, cached };
}

/** All conversations at once, turn by turn; what each was told, by its name. */
async function converse(kv: string, killedAfter: readonly number[]): Promise<Map<string, Told[]>> {
  const conversations = Object.entries(WAYS).flatMap(([way, start]) =>
    Object.entries(SETTINGS).map(([name, settings]) => ({
      name: `${way}, ${name}`,
      say: start(settings),
      told: [] as Told[],
    }))
  );
  const start = () => startWorkerProcess(kv, { device: "cpu" });
  let worker = await start();
  try {
    for (const [turn, text] of TURNS.entries()) {
      const client = new OpenAI({ baseURL: apiOf(worker), apiKey: "none", maxRetries: 0 });
      await Promise.all(conversations.map(async ({ say, told }, i) => {
        told.push(await say(client, text.replace("{}", NAMES[i])));
      }));
      if (!killedAfter.includes(turn)) continue;
      await worker.kill();
      worker = await start();
    }
  } finally {
    await worker.kill();
  }
  return new Map(conversations.map(({ name, told }) => [name, told]));
}

const NAMES = ["Ada", "Ben", "Zorvin", "Mia", "Tom", "Lily"];

Deno.test("openai: twelve turns of a worker that is killed four times are one conversation", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const alone = await converse(`${folder}/alone.sqlite3`, []);
    const killed = await converse(`${folder}/killed.sqlite3`, KILLED_AFTER);
    assert.equal(alone.size, 6);
    for (const [name, turns] of alone) {
      await t.step(`by ${name}: the same, text for text`, () => {
        assert.equal(turns.length, TURNS.length);
        assert.ok(new Set(turns.map(({ text }) => text)).size > 6, "the replies are alike");
        assert.deepEqual(killed.get(name), turns);
      });
      await t.step(`by ${name}: only what is new was read`, () => {
        for (const [i, { cached, fresh }] of turns.entries()) {
          const before = i === 0 ? 0 : turns[i - 1].cached + turns[i - 1].fresh;
          assert.ok(cached >= before, `turn ${i}: of ${before} tokens read, ${cached} were known`);
          assert.ok(fresh > 0 && fresh < 24, `turn ${i}: ${fresh} tokens were read`);
        }
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

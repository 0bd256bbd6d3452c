/**
 * The most expensive requests of each kind that a worker accepts, or rejects only after reading
 * them.
 */

import { encodeStateFile, FILE_LIMITS } from "../src/store/states/state_file.ts";

/** A request, and requests derived from its response. */
export interface WorstRequest {
  name: string;
  path: string;
  method?: "GET" | "POST";
  body?: string | Uint8Array<ArrayBuffer>;
  /** Returns the follow-up requests for a response. */
  // deno-lint-ignore no-explicit-any
  followUps?: (response: any) => WorstRequest[];
}

/** Size of a JSON body in bytes, just below the default limit. */
const BODY_BYTES = 8_380_000;

const user = (content: string) => ({ role: "user", content });
const chat = (name: string, body: object): WorstRequest => ({
  name,
  path: "/v1/chat/completions",
  body: JSON.stringify({ max_tokens: 1, ...body }),
});

/** Returns as many copies of `item` as fit into a JSON body. */
function fill<T>(item: T, maxCount = Infinity): T[] {
  const count = Math.floor(BODY_BYTES / (JSON.stringify(item).length + 1));
  return Array(Math.min(count, maxCount)).fill(item);
}

/** Returns every request for a model with this fingerprint; `imports` adds state file imports. */
export async function worstRequests(
  fingerprint: string,
  { imports = true } = {},
): Promise<WorstRequest[]> {
  const text = "a".repeat(BODY_BYTES);
  const escaped = "\n".repeat(BODY_BYTES / 2);
  const messages = [...fill({ role: "assistant", content: "" }, 21_800), user("x")];
  const bias = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, id) => [id, 1]));
  return [
    { name: "tokenize-text", path: "/v1/tokenize", body: JSON.stringify({ prompt: text }) },
    {
      name: "tokenize-accepted",
      path: "/v1/tokenize",
      body: JSON.stringify({ prompt: "é1".repeat(43_000) }),
    },
    { name: "tokenize-messages", path: "/v1/tokenize", body: JSON.stringify({ messages }) },
    {
      name: "detokenize",
      path: "/v1/detokenize",
      body: JSON.stringify({ tokens: fill(65, 65_500) }),
    },
    chat("chat-text", { messages: [user(text)] }),
    chat("chat-escapes", { messages: [user(escaped)] }),
    chat("chat-messages", { messages }),
    chat("chat-long-messages", {
      messages: [...fill(user("word ".repeat(70)), 21_800), user("x")],
    }),
    chat("chat-parts", {
      messages: [user("x"), { role: "user", content: fill({ type: "text", text: "" }, 21_000) }],
    }),
    chat("chat-logit-bias", { messages: [user("x")], logit_bias: bias(4096) }),
    chat("chat-unknown-fields", { messages: [user("x")], unknown: fill({ a: [{}] }, 16_300) }),
    chat("chat-schema", {
      messages: [user("x")],
      guided_json: { enum: fill("abcdefgh", 65_000).map((x, i) => x + i) },
    }),
    chat("chat-choices", {
      messages: [user("x")],
      guided_choice: fill("abcdefgh", 65_000).map((x, i) => x + i),
    }),
    chat("chat-regex", {
      messages: [user("x")],
      guided_regex: "(a|b|c|[^d]{1,100}){1,100}".repeat(1000),
    }),
    chat("chat-stops", { messages: [user("x")], stop: Array(16).fill("b".repeat(500_000)) }),
    chat("chat-idempotent", { messages: [user("x".repeat(100_000))], n: 16 }),
    {
      name: "completions-text",
      path: "/v1/completions",
      body: JSON.stringify({ prompt: text, max_tokens: 1 }),
    },
    {
      name: "responses-items",
      path: "/v1/responses",
      body: JSON.stringify({ input: messages, max_output_tokens: 1 }),
    },
    {
      name: "conversation-metadata",
      path: "/v1/conversations",
      body: JSON.stringify({ metadata: { a: text } }),
    },
    ...imports ? await importRequests(fingerprint) : [],
  ];
}

async function importRequests(fingerprint: string): Promise<WorstRequest[]> {
  const line = (content: string) => `${JSON.stringify(user(content))}\n`;
  const turn = {
    version: 1,
    pending: [65],
    absorbed: 0,
    position: 0,
    seed: "1",
    counts: [],
    held: "",
    transcript: [user("a"), { role: "assistant", content: "b" }],
  };
  const { historyBytes } = FILE_LIMITS;
  const many = (count: number, content: string) => [...Array(count)].map(() => line(content));
  const reply = { role: "assistant", content: "b" };
  return [
    await importOf("import-65000-empty", { turn, history: many(65_000, "") }),
    await importOf("import-2000000-empty", { turn, history: many(2_000_000, "") }),
    await importOf("import-65000-messages", { turn, history: many(65_000, "word ".repeat(150)) }),
    await importOf("import-64-mib-in-16", { turn, history: many(16, "\n".repeat(2_090_000)) }),
    await importOf("import-64-mib-line", { turn, history: [line("x".repeat(historyBytes - 100))] }),
    await importOf("import-turn-8-mib", {
      turn: { ...turn, transcript: [...Array(16_000).fill(user("word ".repeat(90))), reply] },
      history: [],
    }),
  ];

  async function importOf(
    name: string,
    { turn, history }: { turn: object; history: string[] },
  ): Promise<WorstRequest> {
    const earlier = history.length === 0 ? null : { count: history.length, hash: "x" };
    const encode = (text: string) => new TextEncoder().encode(text);
    const parts = await encodeStateFile({
      model: { id: "x", fingerprint },
      created: Date.now(),
      open: false,
      turn: encode(JSON.stringify({ ...turn, earlier })),
      history: history.length === 0 ? null : encode(history.join("")),
      state: null,
    });
    const body = new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    return {
      name,
      path: "/v1/states",
      body,
      followUps: ({ id }) => [
        { name: `${name}: describe`, method: "GET", path: `/v1/states/${id}` },
        { name: `${name}: last page`, method: "GET", path: `/v1/states/${id}?limit=2` },
        { name: `${name}: export`, method: "GET", path: `/v1/states/${id}/content` },
        chat(`${name}: resume`, { state_id: id, messages: [user("go on")] }),
        {
          name: `${name}: other instructions`,
          path: "/v1/responses",
          body: JSON.stringify({
            previous_response_id: id.replace("state_", "resp_"),
            instructions: "Be brief.",
            input: "go on",
            max_output_tokens: 1,
          }),
        },
        {
          name: `${name}: conversation`,
          path: "/v1/conversations",
          body: JSON.stringify({ state_id: id }),
          followUps: ({ id }) => [
            { name: `${name}: items`, method: "GET", path: `/v1/conversations/${id}/items` },
          ],
        },
      ],
    };
  }
}

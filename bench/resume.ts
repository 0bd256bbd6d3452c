/**
 * `deno task bench:resume`: time to resume a conversation, by the length of its history.
 *
 * Flags: `--shape 0.4b` (random weights) or those that open a model, `--history 100,100000`
 * (earlier tokens), `--rounds N` (7), `--kv PATH|URL`, `--json`. Each round opens sessions without
 * cached states, resumes each conversation with a short message, and processes a new prompt of
 * 1,000 tokens. Reports milliseconds to the first token and to the stored end of a reply of 8
 * tokens. Histories are generated transcripts of 500 tokens per turn, attached to the real state of a
 * short conversation, because processing them would only yield another state of the same size.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits, summarize } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { DEFAULT_ENGINE_SIZES, openEngineWorker } from "../src/server/open_engine.ts";
import { Scheduler } from "../src/scheduler/scheduler.ts";
import { appendEntries, decodeSnapshot, encodeSnapshot } from "../src/session/stored_turn.ts";
import { Sessions } from "../src/session/sessions.ts";
import { DenoKvBackend } from "../src/store/backends/deno_kv.ts";
import { StateStore } from "../src/store/states/state_store.ts";
import { tokenTable } from "../src/tokenizer/token_table.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { engineFlags } from "../src/settings/model_settings.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

const TURN_TOKENS = 500;
const PROMPT_TOKENS = 1000;
const REPLY_TOKENS = 8;

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    history: { type: "string", default: "100,100000" },
    rounds: { type: "string" },
    kv: { type: "string" },
    json: { type: "boolean" },
  },
});
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 7;
const files = await findModel(flags);
const tokenizer = await openModelTokenizer(files);
const engine = await openEngineWorker({
  ...engineFlags(flags),
  source: files.source,
  slots: 4,
  maxStepTokens: DEFAULT_ENGINE_SIZES.maxStepTokens,
  tokens: tokenTable(tokenizer),
  tuning: "cached",
});
const folder = await Deno.makeTempDir();
const backend = await DenoKvBackend.open(flags.kv ?? `${folder}/states.sqlite3`);
const { fingerprint, quant, dimensions, adapter } = engine.info;
const model = {
  id: files.id,
  fingerprint,
  quant,
  vocabulary: dimensions.vocabulary,
  shape: dimensions,
  codec: "f32" as const,
  created: 0,
};
const PHRASE = " and then the brave old dog";
const text = (count: number) => PHRASE.repeat(count / tokenizer.encode(PHRASE).length);
const user = (content: string) => ({ role: "user" as const, content });

/** Returns sessions as in a newly started process. */
function newSessions(): Sessions {
  return new Sessions({
    runner: new Scheduler(engine),
    store: new StateStore(backend),
    tokenizer,
    model,
  });
}

/** Stores a conversation of `tokens` tokens and returns its state id. */
async function conversation(tokens: number): Promise<string> {
  const store = new StateStore(backend);
  const first = await timed({ messages: [user(text(50))] });
  const { info, state, turn, open } = await store.load(first.stateId, { model });
  const record = decodeSnapshot(turn);
  const turns = Math.max(0, Math.round((tokens - record.processedTokens) / TURN_TOKENS));
  const before = Array.from({ length: turns }, (_, i) => [
    user(`${i}${text(TURN_TOKENS / 2)}`),
    { role: "assistant" as const, content: text(TURN_TOKENS / 2) },
  ]).flat();
  const long = {
    ...record,
    processedTokens: record.processedTokens + turns * TURN_TOKENS,
    earlier: { count: before.length, hash: "0".repeat(64) },
  };
  const id = store.newId();
  const content = {
    state,
    turn: encodeSnapshot(long),
    history: await appendEntries(null, before),
    open,
  };
  await store.save(content, { id, model, parent: info.id });
  return id;
}

async function timed(request: { messages: ReturnType<typeof user>[]; stateId?: string }) {
  const sessions = newSessions();
  const startedAt = performance.now();
  const turn = await sessions.start({
    ...request,
    maxTokens: REPLY_TOKENS,
    stream: true,
    seed: 1n,
  });
  let first = 0;
  for await (const _ of turn.events()) first ||= performance.now() - startedAt;
  const whole = performance.now() - startedAt;
  await sessions.settled();
  return { stateId: (await turn.result()).stateId!, first, whole };
}

const ids = new Map<string, string>();
for (const tokens of flags.history.split(",")) ids.set(tokens, await conversation(Number(tokens)));
const times = new Map<string, { first: number; whole: number }[]>();
for (let round = -1; round < rounds; round++) {
  const cases: [string, Parameters<typeof timed>[0]][] = [
    ...[...ids].map((
      [tokens, stateId],
    ): (typeof cases)[number] => [`resume-${tokens}`, { messages: [user("And then?")], stateId }]),
    [`read-${PROMPT_TOKENS}`, { messages: [user(`${round}${text(PROMPT_TOKENS)}`)] }],
  ];
  for (const [name, request] of cases) {
    const time = await timed(request);
    // The first round is the warm-up.
    if (round >= 0) times.set(name, [...times.get(name) ?? [], time]);
  }
}
const rows = [...times].map(([name, all]) => ({
  case: name,
  first: summarize(all.map(({ first }) => first)),
  whole: summarize(all.map(({ whole }) => whole)),
}));
if (flags.json) {
  console.log(JSON.stringify({ adapter, model: model.id, quant, store: backend.name, rows }));
} else {
  for (const { case: name, first, whole } of rows) {
    const range = ({ median, min, max }: typeof first) =>
      `${roundToFourDigits(median)} ms (${roundToFourDigits(min)} to ${roundToFourDigits(max)})`;
    console.log(`${name}: first token ${range(first)}, stored end ${range(whole)}`);
  }
}
backend.close();
await Deno.remove(folder, { recursive: true });
Deno.exit();

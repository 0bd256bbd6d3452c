/**
 * `deno task bench:http`: what streaming over HTTP leaves of the engine's own decoding rate.
 *
 * Flags: those that open a model, `--batch 1,8` (conversations at once), `--tokens N` (256 each),
 * `--rounds N` (5), `--json`. A whole worker answers chat completions to clients in this process;
 * in turns with them, its engine decodes as many tokens by itself. Nothing may end a reply early, so
 * end of text and newlines are banned. Prints `{"adapter","model","quant","rows":[{"case":"http-B",
 * "engine","http","share_median","share_min","share_max"}]}`, rates in tokens per second over all
 * conversations, each from its first token on.
 */

import { parseArgs } from "node:util";
import { decode, spread, startSlots } from "../src/cli/bench_cases.ts";
import { MODEL_FLAGS, number, printJson } from "../src/cli/command.ts";
import { findModel, modelTokenizer } from "../src/cli/model_files.ts";
import { startWorker } from "../src/cli/worker.ts";
import { createLogger } from "../src/core/log.ts";

const NEWLINE = 10;

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    batch: { type: "string", default: "1,8" },
    tokens: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const tokens = number(flags, "tokens", { min: 2, max: 1e5, integer: true }) ?? 256;
const rounds = number(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 5;

const log = createLogger({ write: () => {}, format: "text", now: () => new Date() });
const { app, ready } = startWorker({ ...flags, kv: ":memory:" }, { log });
const { engine, modelId, close } = await ready;
const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, app.fetch);
const url = `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}/v1/chat/completions`;
const bans = await endingTokens();

const rows: Record<string, string | number>[] = [];
for (const batch of flags.batch.split(",").map(Number)) {
  const pairs: { engine: number; http: number }[] = [];
  for (let round = -1; round < rounds; round++) {
    const pair = { engine: await engineRate(batch), http: await httpRate(batch) };
    // The first warms up.
    if (round >= 0) pairs.push(pair);
    console.error(
      `  ${batch} at once: engine ${pair.engine.toFixed(1)}, HTTP ${pair.http.toFixed(1)} tokens/s`,
    );
  }
  const share = spread(pairs.map(({ engine, http }) => http / engine));
  rows.push({
    case: `http-${batch}`,
    engine: spread(pairs.map(({ engine }) => engine)).median,
    http: spread(pairs.map(({ http }) => http)).median,
    share_median: share.median,
    share_min: share.min,
    share_max: share.max,
  });
}
const { adapter, quant } = engine.info;
if (flags.json) {
  await printJson({ adapter, model: modelId, quant, rows });
} else {
  console.log("| case | engine, tokens/s | HTTP, tokens/s | share | from | to |");
  console.log("|---|---|---|---|---|---|");
  for (const row of rows) console.log(`| ${Object.values(row).join(" | ")} |`);
}
await server.shutdown();
await close(0);
// The engine's Worker would go on.
Deno.exit(0);

async function engineRate(batch: number): Promise<number> {
  await startSlots(engine, Array.from({ length: batch }, (_, i) => [1 + i]));
  const { seconds, steps } = await decode(engine, { batch, tokens: tokens - 1 });
  return batch * steps / seconds;
}

async function httpRate(batch: number): Promise<number> {
  const replies = await Promise.all(Array.from({ length: batch }, (_, i) => reply(i)));
  const first = Math.min(...replies.map(({ first }) => first));
  const last = Math.max(...replies.map(({ last }) => last));
  return batch * (tokens - 1) / ((last - first) / 1000);
}

/** Streams a reply; when its first and its last text came, in milliseconds. */
async function reply(conversation: number): Promise<{ first: number; last: number }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      messages: [{ role: "user", content: `Tell me story number ${conversation}.` }],
      max_tokens: tokens,
      temperature: 0,
      logit_bias: bans,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  let first = 0, last = 0, completed = 0;
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const now = performance.now();
    if (/"content":"[^"]/.test(text)) {
      first ||= now;
      last = now;
    }
    completed = Number(/"completion_tokens":(\d+)/.exec(text)?.[1] ?? completed);
  }
  if (completed !== tokens) throw new Error(`a reply ended after ${completed} tokens`);
  return { first, last };
}

/** Ids with which a reply ends, or might. */
async function endingTokens(): Promise<Record<string, number>> {
  const tokenizer = await modelTokenizer(await findModel(flags));
  const ids = Array.from({ length: tokenizer.size }, (_, id) => id).filter((id) =>
    id === tokenizer.endOfText || tokenizer.tokenBytes(id)?.includes(NEWLINE)
  );
  return Object.fromEntries(ids.map((id) => [id, -100]));
}

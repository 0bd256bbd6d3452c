/**
 * `deno task bench:http`: streaming throughput over HTTP, relative to the engine's own decoding
 * rate.
 *
 * Flags: those that open a model, `--batch 1,8` (concurrent conversations), `--tokens N` (256
 * each), `--rounds N` (5), `--json`. A complete worker serves chat completions to clients in this
 * process. Between these measurements, its engine decodes the same number of tokens directly. End
 * of text and newlines are banned so that no reply ends early. With `--json`, prints
 * `{"adapter","model","quant","rows":[{"case":"http-B","engine","http","share_median","share_min",
 * "share_max"}]}`: rates in tokens per second over all conversations, from their first token on.
 */

import { parseArgs } from "node:util";
import { decode, startSlots, summarize } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { localWorker } from "./local_worker.ts";
import { stopTokenBans, streamChat } from "./stream_client.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    batch: { type: "string", default: "1,8" },
    tokens: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const tokens = numberFlag(flags, "tokens", { min: 2, max: 1e5, integer: true }) ?? 256;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 5;

const { engine, modelId, url, exit } = await localWorker(flags);
const bans = stopTokenBans(await openModelTokenizer(await findModel(flags)));

const rows: Record<string, string | number>[] = [];
for (const batch of flags.batch.split(",").map(Number)) {
  const pairs: { engine: number; http: number }[] = [];
  for (let round = -1; round < rounds; round++) {
    const pair = { engine: await engineRate(batch), http: await httpRate(batch) };
    // The first round is the warm-up.
    if (round >= 0) pairs.push(pair);
    console.error(
      `  batch ${batch}: engine ${pair.engine.toFixed(1)}, HTTP ${pair.http.toFixed(1)} tokens/s`,
    );
  }
  const share = summarize(pairs.map(({ engine, http }) => http / engine));
  rows.push({
    case: `http-${batch}`,
    engine: summarize(pairs.map(({ engine }) => engine)).median,
    http: summarize(pairs.map(({ http }) => http)).median,
    share_median: share.median,
    share_min: share.min,
    share_max: share.max,
  });
}
const { adapter, quant } = engine.info;
if (flags.json) {
  console.log(JSON.stringify({ adapter, model: modelId, quant, rows }));
} else {
  console.log("| case | engine, tokens/s | HTTP, tokens/s | HTTP / engine | min | max |");
  console.log("|---|---|---|---|---|---|");
  for (const row of rows) console.log(`| ${Object.values(row).join(" | ")} |`);
}
await exit(0);

async function engineRate(batch: number): Promise<number> {
  await startSlots(engine, Array.from({ length: batch }, (_, i) => [1 + i]));
  const { seconds, steps } = await decode(engine, { batch, tokens: tokens - 1 });
  return batch * steps / seconds;
}

async function httpRate(batch: number): Promise<number> {
  const replies = await Promise.all(Array.from({ length: batch }, (_, i) =>
    streamChat(url, {
      messages: [{ role: "user", content: `Tell me story number ${i}.` }],
      max_tokens: tokens,
      temperature: 0,
      logit_bias: bans,
    })));
  const short = replies.find(({ completionTokens }) => completionTokens !== tokens);
  if (short) throw new Error(`Reply ended after ${short.completionTokens} tokens`);
  const first = Math.min(...replies.map(({ times }) => times[0]));
  const last = Math.max(...replies.map(({ times }) => times[times.length - 1]));
  return batch * (tokens - 1) / ((last - first) / 1000);
}

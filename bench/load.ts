/**
 * `deno task bench:load`: many clients on one worker; checks correct replies, fairness, throughput
 * and memory.
 *
 * Flags: those that open a model, `--clients N` (64), `--seconds S` (60), `--json`. A complete
 * worker serves streamed chat completions over the loopback address to clients in this process.
 * Each client sends its next request as soon as a reply ends. Exits with status 1 if a check fails.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { localWorker } from "./local_worker.ts";
import {
  type ChatRequest,
  randomWords,
  stopTokenBans,
  streamChat,
  type StreamedReply,
} from "./stream_client.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** Prompt lengths and reply limits in tokens; requests cycle through them. */
const PROMPT_TOKENS = [8, 2000, 30, 120, 16, 600, 60, 250];
const REPLY_TOKENS = [96, 24, 64, 40];

/** Number of different requests. */
const REQUEST_COUNT = 32;

/** Statuses of an overloaded worker. */
const BUSY = [429, 503];

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    clients: { type: "string" },
    seconds: { type: "string" },
    json: { type: "boolean" },
  },
});
const clients = numberFlag(flags, "clients", { min: 1, max: 1000, integer: true }) ?? 64;
const seconds = numberFlag(flags, "seconds", { min: 1, max: 3600 }) ?? 60;
const worker = await localWorker(flags);
const tokenizer = await openModelTokenizer(await findModel(flags));
const bans = stopTokenBans(tokenizer);
const checks: { what: string; figure: string; holds: boolean }[] = [];

const progress = (text: string) => console.error(text);
progress(`${REQUEST_COUNT} reference replies, one at a time`);
const requests = Array.from({ length: REQUEST_COUNT }, (_, i): ChatRequest => ({
  messages: [{
    role: "user",
    content: randomWords(tokenizer, PROMPT_TOKENS[i % PROMPT_TOKENS.length], i),
  }],
  max_tokens: REPLY_TOKENS[i % REPLY_TOKENS.length],
  temperature: i % 2,
  seed: i,
}));
const references: string[] = [];
for (const body of requests) references.push((await streamChat(worker.url, body)).text);

progress(`${clients} clients for ${seconds} s`);
await mixedLoad();
progress("decoding: 1 client, then 32");
await throughput();
progress("a prompt of 4,000 tokens beside 8 streams");
await longPrompt();
progress("3,500 aborted requests");
await abortedRequests();

const { adapter, quant } = worker.engine.info;
if (flags.json) {
  console.log(JSON.stringify({ adapter, model: worker.modelId, quant, clients, checks }));
} else {
  for (const { what, figure, holds } of checks) {
    console.log(`${holds ? "pass" : "FAIL"}  ${what}: ${figure}`);
  }
}
await worker.exit(checks.every(({ holds }) => holds) ? 0 : 1);

function check(what: string, figure: string, holds: boolean): void {
  checks.push({ what, figure, holds });
}

async function mixedLoad(): Promise<void> {
  const until = performance.now() + seconds * 1000;
  let next = 0, busy = 0, wrong = 0, failed = 0, replies = 0;
  const gaps: number[] = [];
  const rates = await Promise.all(Array.from({ length: clients }, async () => {
    // Each client cycles through all requests, from a different starting point.
    let i = next++ % REQUEST_COUNT;
    let tokens = 0;
    const start = performance.now();
    for (; performance.now() < until; i = (i + 1) % REQUEST_COUNT) {
      const reply = await streamChat(worker.url, requests[i]);
      if (BUSY.includes(reply.status)) {
        busy++;
        await new Promise((resolve) => setTimeout(resolve, 1000));
        continue;
      }
      if (reply.status !== 200 || reply.finishReason === null) {
        failed++;
        continue;
      }
      replies++;
      if (reply.text !== references[i]) wrong++;
      gaps.push(...chunkGaps(reply));
      tokens += reply.completionTokens;
    }
    return tokens / (performance.now() - start) * 1000;
  }));
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const slowest = Math.min(...rates);
  const [median, p99] = [quantile(gaps, 0.5), quantile(gaps, 0.99)];
  check("errors", `${failed} of ${replies + failed}; ${busy} rejected as overloaded`, failed === 0);
  check("replies that differ from their reference", `${wrong} of ${replies}`, wrong === 0);
  check(
    "inter-chunk latency, p99 at most 4 times the median",
    `${roundToFourDigits(p99)} ms, ${roundToFourDigits(median)} ms`,
    p99 <= 4 * median,
  );
  check(
    "slowest client at least half the mean",
    `${roundToFourDigits(slowest)} of ${roundToFourDigits(mean)} tokens/s`,
    slowest >= mean / 2,
  );
}

async function throughput(): Promise<void> {
  const rate = async (count: number) => {
    const start = performance.now();
    const replies = await Promise.all(
      Array.from({ length: count }, (_, i) => streamChat(worker.url, fixedLengthRequest(i, 256))),
    );
    const tokens = replies.reduce((sum, reply) => sum + reply.completionTokens, 0);
    return tokens / (performance.now() - start) * 1000;
  };
  await rate(32);
  const one: number[] = [], many: number[] = [];
  for (let round = 0; round < 5; round++) {
    one.push(await rate(1));
    many.push(await rate(32));
  }
  const ratio = quantile(many.map((rate, i) => rate / one[i]), 0.5);
  check(
    "throughput of 32 clients at least 4 times that of one",
    `${roundToFourDigits(quantile(many, 0.5))}, ${
      roundToFourDigits(quantile(one, 0.5))
    } tokens/s, ratio ${roundToFourDigits(ratio)}`,
    ratio >= 4,
  );
}

async function longPrompt(): Promise<void> {
  const streams = Array.from(
    { length: 8 },
    (_, i) => streamChat(worker.url, fixedLengthRequest(i, 900)),
  );
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const from = performance.now();
  const content = randomWords(tokenizer, 4000, 99);
  const long = await streamChat(worker.url, {
    messages: [{ role: "user", content }],
    max_tokens: 1,
    temperature: 0,
  });
  const to = long.times.at(-1) ?? performance.now();
  const replies = await Promise.all(streams);
  const during = replies.flatMap((reply) => chunkGaps(reply, (time) => time > from && time <= to));
  const earlier = replies.flatMap((reply) => chunkGaps(reply, (time) => time <= from));
  const [median, before, longest] = [
    quantile(during, 0.5),
    quantile(earlier, 0.5),
    quantile(during, 1),
  ];
  check(
    "a long prompt adds at most one prefill step (60 ms) to inter-chunk latency",
    `median ${roundToFourDigits(median)} ms, ${roundToFourDigits(before)} ms before; longest ${
      roundToFourDigits(longest)
    } ms; ` +
      `${long.promptTokens} tokens processed in ${roundToFourDigits(to - from)} ms`,
    median <= before + 60,
  );
}

async function abortedRequests(): Promise<void> {
  const residentBytes = () => {
    // Unreferenced states would count until the next garbage collection.
    (globalThis as { gc?: () => void }).gc?.();
    return Deno.memoryUsage().rss;
  };
  let random = 1;
  const nextRandom = () => (random = random * 48271 % 2147483647) / 2147483647;
  const wave = async (count: number) => {
    let remaining = count;
    await Promise.all(Array.from({ length: 64 }, async () => {
      while (remaining-- > 0) {
        const signal = AbortSignal.timeout(Math.floor(400 * nextRandom()));
        await streamChat(worker.url, requests[remaining % REQUEST_COUNT], signal).catch(() => {});
      }
    }));
    await worker.idle();
  };
  // Garbage collections run at varying times; the minimum over several waves excludes garbage.
  const settledMemory = async () => {
    const samples: number[] = [];
    for (let i = 0; i < 3; i++) {
      await wave(500);
      samples.push(residentBytes());
    }
    return Math.min(...samples);
  };
  await wave(500);
  const before = await settledMemory();
  const after = await settledMemory();
  const { running, waiting } = worker.schedulerStats();
  check(
    "slots in use after all requests were aborted",
    `${running}; ${waiting} waiting`,
    running + waiting === 0,
  );
  check(
    "memory within 5 % of the value before",
    `${roundToFourDigits(after / 1e6)} MB, ${roundToFourDigits(before / 1e6)} MB`,
    after <= 1.05 * before,
  );
  const reply = await streamChat(worker.url, requests[0]);
  check(
    "next reply",
    reply.text === references[0] ? "equals its reference" : "differs",
    reply.text === references[0],
  );
}

/**
 * Returns a request whose reply has exactly `tokens` tokens: tokens that could end it are banned.
 */
function fixedLengthRequest(i: number, tokens: number): ChatRequest {
  return {
    messages: [{ role: "user", content: randomWords(tokenizer, 12, i) }],
    max_tokens: tokens,
    temperature: 1,
    seed: i,
    logit_bias: bans,
  };
}

/** Returns the milliseconds between the text chunks of a stream. */
function chunkGaps({ times }: StreamedReply, includes = (_: number) => true): number[] {
  return times.slice(1).flatMap((time, i) =>
    includes(time) && includes(times[i]) ? [time - times[i]] : []
  );
}

function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? NaN;
}

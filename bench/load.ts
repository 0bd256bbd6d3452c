/**
 * `deno task bench:load`: many clients on one worker, and whether each is served as if it were alone.
 *
 * Flags: those that open a model, `--clients N` (64), `--seconds S` (60), `--json`. A whole worker
 * answers streamed chat completions over the loopback address to clients in this process, each of
 * which asks again as soon as it is answered. Exit status 1 if one of the checks fails.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { localWorker } from "./local_worker.ts";
import { type Answer, type Ask, ask, endingBans, words } from "./stream_client.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** Tokens of prompts and, at most, of replies: the clients take them in turn. */
const PROMPTS = [8, 2000, 30, 120, 16, 600, 60, 250];
const REPLIES = [96, 24, 64, 40];

/** Different requests. */
const ASKS = 32;

/** Statuses with which a worker says that it has too much to do. */
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
const bans = endingBans(tokenizer);
const checks: { what: string; figure: string; holds: boolean }[] = [];

const say = (text: string) => console.error(text);
say(`${ASKS} replies alone`);
const asks = Array.from({ length: ASKS }, (_, i): Ask => ({
  messages: [{ role: "user", content: words(tokenizer, PROMPTS[i % PROMPTS.length], i) }],
  max_tokens: REPLIES[i % REPLIES.length],
  temperature: i % 2,
  seed: i,
}));
const alone: string[] = [];
for (const body of asks) alone.push((await ask(worker.url, body)).text);

say(`${clients} clients for ${seconds} s`);
await mixedLoad();
say("one client, then 32, writing only");
await throughput();
say("a prompt of 4,000 tokens among 8 streams");
await longPrompt();
say("3,500 clients that leave");
await leavers();

const { adapter, quant } = worker.engine.info;
if (flags.json) {
  console.log(JSON.stringify({ adapter, model: worker.modelId, quant, clients, checks }));
} else {
  for (const { what, figure, holds } of checks) {
    console.log(`${holds ? "holds" : "FAILS"}  ${what}: ${figure}`);
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
    // Each takes all requests in turn, from another one on.
    let i = next++ % ASKS;
    let tokens = 0;
    const start = performance.now();
    for (; performance.now() < until; i = (i + 1) % ASKS) {
      const answer = await ask(worker.url, asks[i]);
      if (BUSY.includes(answer.status)) {
        busy++;
        await new Promise((resolve) => setTimeout(resolve, 1000));
        continue;
      }
      if (answer.status !== 200 || answer.finish === null) {
        failed++;
        continue;
      }
      replies++;
      if (answer.text !== alone[i]) wrong++;
      gaps.push(...gapsOf(answer));
      tokens += answer.completionTokens;
    }
    return tokens / (performance.now() - start) * 1000;
  }));
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const slowest = Math.min(...rates);
  const [median, late] = [quantile(gaps, 0.5), quantile(gaps, 0.99)];
  check("errors", `${failed} of ${replies + failed}, ${busy} times busy`, failed === 0);
  check("replies that differ from those alone", `${wrong} of ${replies}`, wrong === 0);
  check(
    "gaps between texts of a stream, p99 at most 4 times the median",
    `${roundToFourDigits(late)} ms, ${roundToFourDigits(median)} ms`,
    late <= 4 * median,
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
    const answers = await Promise.all(
      Array.from({ length: count }, (_, i) => ask(worker.url, writingAsk(i, 256))),
    );
    const tokens = answers.reduce((sum, answer) => sum + answer.completionTokens, 0);
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
    "32 clients at least 4 times the tokens of one",
    `${roundToFourDigits(quantile(many, 0.5))}, ${
      roundToFourDigits(quantile(one, 0.5))
    } tokens/s, ratio ${roundToFourDigits(ratio)}`,
    ratio >= 4,
  );
}

async function longPrompt(): Promise<void> {
  const streams = Array.from({ length: 8 }, (_, i) => ask(worker.url, writingAsk(i, 900)));
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const from = performance.now();
  const content = words(tokenizer, 4000, 99);
  const long = await ask(worker.url, {
    messages: [{ role: "user", content }],
    max_tokens: 1,
    temperature: 0,
  });
  const to = long.times.at(-1) ?? performance.now();
  const answers = await Promise.all(streams);
  const during = answers.flatMap((answer) => gapsOf(answer, (time) => time > from && time <= to));
  const apart = answers.flatMap((answer) => gapsOf(answer, (time) => time <= from));
  const [median, before, most] = [quantile(during, 0.5), quantile(apart, 0.5), quantile(during, 1)];
  check(
    "a long prompt lengthens gaps by one step of reading (60 ms) at most",
    `median ${roundToFourDigits(median)} ms, ${roundToFourDigits(before)} ms before; longest ${
      roundToFourDigits(most)
    } ms; ` +
      `${long.promptTokens} tokens read in ${roundToFourDigits(to - from)} ms`,
    median <= before + 60,
  );
}

async function leavers(): Promise<void> {
  const bytes = () => {
    // States that nobody holds any more would count until the next collection.
    (globalThis as { gc?: () => void }).gc?.();
    return Deno.memoryUsage().rss;
  };
  let random = 1;
  const chance = () => (random = random * 48271 % 2147483647) / 2147483647;
  const wave = async (count: number) => {
    let left = count;
    await Promise.all(Array.from({ length: 64 }, async () => {
      while (left-- > 0) {
        const signal = AbortSignal.timeout(Math.floor(400 * chance()));
        await ask(worker.url, asks[left % ASKS], signal).catch(() => {});
      }
    }));
    await worker.idle();
  };
  // Collections come when they come: the least of a few waves is what is really held.
  const held = async () => {
    const seen: number[] = [];
    for (let i = 0; i < 3; i++) {
      await wave(500);
      seen.push(bytes());
    }
    return Math.min(...seen);
  };
  await wave(500);
  const before = await held();
  const after = await held();
  const { running, waiting } = worker.schedulerStats();
  check(
    "slots in use after all have left",
    `${running}, ${waiting} waiting`,
    running + waiting === 0,
  );
  check(
    "memory within 5 % of that before",
    `${roundToFourDigits(after / 1e6)} MB, ${roundToFourDigits(before / 1e6)} MB`,
    after <= 1.05 * before,
  );
  const answer = await ask(worker.url, asks[0]);
  check(
    "the next reply",
    answer.text === alone[0] ? "as alone" : "differs",
    answer.text === alone[0],
  );
}

/** Asks for a reply of exactly `tokens` tokens: nothing that ends one may be written. */
function writingAsk(i: number, tokens: number): Ask {
  return {
    messages: [{ role: "user", content: words(tokenizer, 12, i) }],
    max_tokens: tokens,
    temperature: 1,
    seed: i,
    logit_bias: bans,
  };
}

/** Milliseconds between texts of a stream. */
function gapsOf({ times }: Answer, within = (_: number) => true): number[] {
  return times.slice(1).flatMap((time, i) =>
    within(time) && within(times[i]) ? [time - times[i]] : []
  );
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

/**
 * `deno task bench:grammar`: cost of structured output: time to compile a constraint, time per
 * token mask, and decoding rate.
 *
 * Flags: those that open a model (`--shape 0.1b --vocab FILE` for the World vocabulary), `--tokens
 * N` (200), `--rounds N` (5), `--json`. Every round compiles each constraint again and then samples
 * random allowed tokens. Decoding rates are those of one conversation, alternately without and with
 * a constraint. With `--json`, prints `{"vocabulary","tokens","first_ms","forms":[{"form",
 * "compile_ms","token_ms","slowest_ms"}],"decode":{"free","held","share_median","share_min",
 * "share_max"}}`: milliseconds are medians over the rounds, `free` and `held` are tokens per second
 * without and with a constraint.
 */

import { parseArgs } from "node:util";
import { summarize } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { engineOptions, openEngine } from "../src/server/open_engine.ts";
import { type Constraint, NEUTRAL_SAMPLING } from "../src/core/sampling.ts";
import { createTokenConstraints } from "../src/grammar/token_constraints.ts";
import { randomAt } from "../src/sampler/random.ts";
import { Scheduler } from "../src/scheduler/scheduler.ts";
import { tokenTable } from "../src/tokenizer/token_table.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    tokens: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const count = numberFlag(flags, "tokens", { min: 2, max: 1e5, integer: true }) ?? 200;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 5;

const person = {
  name: { type: "string" },
  age: { type: "integer", minimum: 0, maximum: 150 },
  email: { type: "string", format: "email" },
  tags: { type: "array", items: { enum: ["red", "green", "blue"] }, maxItems: 3 },
};
const manyFields = Array.from(
  { length: 100 },
  (_, i) => [`field${i}`, { type: "string", maxLength: 40 }],
);

function schema(value: object): Constraint {
  return { type: "json_schema", schema: JSON.stringify(value) };
}

const CONSTRAINTS: Record<string, Constraint> = {
  "any object": { type: "json_object" },
  "person": schema({ type: "object", properties: person, required: Object.keys(person) }),
  "100 optional strings": schema({ type: "object", properties: Object.fromEntries(manyFields) }),
  "a string of at most 1,000 characters": schema({ type: "string", maxLength: 1000 }),
  "regular expression": { type: "regex", pattern: "(\\w+, ){0,50}\\w+ (and|or) \\w+\\." },
};

const files = await findModel(flags);
const tokenizer = await openModelTokenizer(files);
const tokens = tokenTable(tokenizer);
const endOfText = tokenizer.endOfText;

const firstCompile: number[] = [];
const samples = Object.keys(CONSTRAINTS).map((constraint) => ({
  constraint,
  compile: [] as number[],
  token: [] as number[],
  slowest: [] as number[],
}));
for (let round = 0; round < rounds; round++) {
  const compileConstraint = createTokenConstraints(tokens, { endToken: endOfText });
  firstCompile.push(await timed(() => compileConstraint({ type: "choice", choices: ["a"] })));
  for (const row of samples) {
    row.compile.push(await timed(() => compileConstraint(CONSTRAINTS[row.constraint])));
    const times = await timeTokenMasks(await compileConstraint(CONSTRAINTS[row.constraint]), round);
    row.token.push(times.reduce((a, b) => a + b, 0) / times.length);
    row.slowest.push(Math.max(...times));
  }
}

const report = {
  vocabulary: files.vocabulary,
  tokens: tokenizer.size,
  first_ms: summarize(firstCompile).median,
  forms: samples.map(({ constraint: form, compile, token, slowest }) => ({
    form,
    compile_ms: summarize(compile).median,
    token_ms: summarize(token).median,
    slowest_ms: summarize(slowest).median,
  })),
  decode: await decodeRates(),
};
if (flags.json) {
  console.log(JSON.stringify(report));
} else {
  const format = (value: number) => value.toFixed(2);
  console.log(`${report.tokens} tokens, first constraint ${format(report.first_ms)} ms\n`);
  console.log(
    "| constraint | compile, ms | token mask, ms | slowest mask, ms |\n|---|---|---|---|",
  );
  for (const { form, compile_ms, token_ms, slowest_ms } of report.forms) {
    console.log(`| ${form} | ${[compile_ms, token_ms, slowest_ms].map(format).join(" | ")} |`);
  }
  const { free, held, share_median, share_min, share_max } = report.decode;
  console.log(
    `\nunconstrained ${format(free)}, constrained ${format(held)} tokens/s: ratio ${
      format(share_median)
    } ` +
      `(${format(share_min)} to ${format(share_max)})`,
  );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Returns the milliseconds that each token mask took. */
async function timeTokenMasks(
  constraint: Awaited<ReturnType<ReturnType<typeof createTokenConstraints>>>,
  seed: number,
): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const allowed = await constraint.tokenBitmask();
    times.push(performance.now() - started);
    const ids = [...tokens.banned.keys()].filter((id) =>
      (allowed[id >> 5] >>> (id & 31) & 1) === 1 && id !== endOfText
    );
    if (ids.length === 0) break;
    constraint.accept(ids[Math.floor(randomAt(BigInt(seed), i) * ids.length)]);
  }
  return times;
}

/** Measures tokens per second of one conversation, with an unbounded constraint and without one. */
async function decodeRates() {
  const engine = await openEngine({
    ...engineOptions(flags, files, { slots: 1, maxStepTokens: 64 }),
    tokens,
    endOfText,
  });
  const scheduler = new Scheduler(engine);
  const unbounded = schema({
    type: "array",
    minItems: 1e9,
    items: { type: "string", maxLength: 20 },
  });
  const rate = async (constraint: Constraint | undefined) => {
    const generation = scheduler.submit({
      state: null,
      tokens: tokenizer.encode("User: Hello\n\nAssistant:"),
      sampling: { ...NEUTRAL_SAMPLING, temperature: 0, seed: 0n },
      counts: new Map(),
      position: 0,
      maxTokens: count,
      endToken: null,
      stops: null,
      constraint,
    });
    let firstTokenAt = 0;
    let sampled = 0;
    for await (const batch of generation) {
      if (firstTokenAt === 0) firstTokenAt = performance.now();
      else sampled += batch.tokens.length;
    }
    return 1000 * sampled / (performance.now() - firstTokenAt);
  };
  const pairs: { free: number; held: number }[] = [];
  for (let round = -1; round < rounds; round++) {
    const pair = { free: await rate(undefined), held: await rate(unbounded) };
    // The first round is the warm-up.
    if (round >= 0) pairs.push(pair);
  }
  await engine.close();
  const share = summarize(pairs.map(({ free, held }) => held / free));
  return {
    free: summarize(pairs.map(({ free }) => free)).median,
    held: summarize(pairs.map(({ held }) => held)).median,
    share_median: share.median,
    share_min: share.min,
    share_max: share.max,
  };
}

/**
 * `deno task bench:states`: quality, speed and size of each state codec.
 *
 * Flags: those that open a model, `--tokens N` (10000 resumed tokens, 100 a conversation),
 * `--rounds N` (9, of encoding and decoding), `--json`. The conversations are the demo model's
 * held-out dialogues: the user mentions a fact, talks about other things and asks for the fact, so
 * that the next hundred tokens depend on the state. Each is stored once, directly before these
 * tokens, and "often", every 16 tokens from its start, like a conversation of many turns.
 */

import { parseArgs } from "node:util";
import type { Spread } from "../src/benchmark/cases.ts";
import { currentCommit } from "../src/benchmark/commit.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { engineOptions, openEngine } from "../src/server/open_engine.ts";
import { heldOut } from "../tests/demo/held_out.ts";
import {
  CONTINUATION_TOKENS,
  type Cost,
  stateCosts,
  STORE_TIMES,
  STORED_EVERY,
} from "./state_quality.ts";
import { type Speed, stateSpeeds } from "./state_speed.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** A codec can be the default if no continuation differs and its mean divergence is below this. */
const MAX_KL_MEAN = 1e-6;

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    tokens: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const all = await heldOut();
const maxTokens = all.length * CONTINUATION_TOKENS;
const tokens = numberFlag(flags, "tokens", { min: 1, max: maxTokens, integer: true }) ?? 10_000;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 9;

const speeds = stateSpeeds(rounds);

const files = await findModel(flags);
const tokenizer = await openModelTokenizer(files);
const engine = await openEngine(engineOptions(flags, files, { slots: 1, maxStepTokens: 128 }));
if (engine.info.selection?.warning) console.error(engine.info.selection.warning);
const count = Math.ceil(tokens / CONTINUATION_TOKENS);
// Evenly spaced over the set, whose parts differ.
const conversations = Array.from(
  { length: count },
  (_, i) => all[Math.floor(i * all.length / count)].turns,
);
const costs = await stateCosts(engine, tokenizer, {
  conversations,
  onProgress: (done) => {
    if (done % 10 === 0) console.error(`  ${done} of ${count} conversations`);
  },
});
const { adapter, quant } = engine.info;
await engine.close();

if (flags.json) {
  console.log(JSON.stringify({
    adapter,
    model: files.id,
    quant,
    commit: await currentCommit(),
    conversations: count,
    tokens: count * CONTINUATION_TOKENS,
    often: STORED_EVERY,
    costs,
    smallest: Object.fromEntries(STORE_TIMES.map((stored) => [stored, smallestAcceptable(stored)])),
    speeds,
  }));
} else {
  console.log(`${files.id} as ${quant} on ${adapter}: ${count * CONTINUATION_TOKENS} tokens\n`);
  console.log(
    "| stored | codec | bytes | mean KL | worst KL | argmax differs | largest lead | continuations differ |",
  );
  console.log("|---|---|---|---|---|---|---|---|");
  for (const cost of costs) console.log(costRow(cost));
  for (const stored of STORE_TIMES) {
    console.log(`\nsmallest acceptable codec, stored ${stored}: ${smallestAcceptable(stored)}`);
  }
  console.log("\n| shape | codec | bytes | encode, MB/s | decode, MB/s |");
  console.log("|---|---|---|---|---|");
  for (const speed of speeds) console.log(speedRow(speed));
}

/** Returns the smallest codec that can be the default. */
function smallestAcceptable(stored: Cost["stored"]): string | null {
  const good = costs
    .filter((cost) => cost.stored === stored)
    .filter((cost) => cost.continuations_differ === 0 && cost.kl_mean < MAX_KL_MEAN)
    .sort((a, b) => a.bytes - b.bytes);
  return good.length > 0 ? good[0].codec : null;
}

function costRow(cost: Cost): string {
  const format = (value: number) => value === 0 ? "0" : value.toExponential(1);
  const figures = [
    cost.stored,
    cost.codec,
    cost.bytes,
    format(cost.kl_mean),
    format(cost.kl_max),
    cost.argmax_differs,
    format(cost.lead_max),
    cost.continuations_differ,
  ];
  return `| ${figures.join(" | ")} |`;
}

function speedRow({ shape, codec, bytes, encode_mb_s, decode_mb_s }: Speed): string {
  const format = ({ median, min, max }: Spread) => `${median} (${min} to ${max})`;
  return `| ${shape} | ${codec} | ${bytes} | ${format(encode_mb_s)} | ${format(decode_mb_s)} |`;
}

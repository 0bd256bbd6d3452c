/**
 * `deno task bench:states`: what storing states costs, codec by codec.
 *
 * Flags: those that open a model, `--tokens N` (10000 resumed tokens, 100 a conversation),
 * `--rounds N` (9, of encoding and decoding), `--json`. The conversations are the demo model's
 * held-out ones: told something, talked of other things, and asked for it, so that much of the next
 * hundred tokens hangs on the state. Each is stored once, right before these tokens; and often, as a
 * conversation of many turns is, every 16 tokens from its beginning on.
 */

import { parseArgs } from "node:util";
import type { Spread } from "../src/benchmark/cases.ts";
import { currentCommit } from "../src/benchmark/commit.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { engineOptions, openEngine } from "../src/server/open_engine.ts";
import { heldOut } from "../tests/demo/held_out.ts";
import { CONTINUED, type Cost, OCCASIONS, stateCosts, STORED_EVERY } from "./state_quality.ts";
import { type Speed, stateSpeeds } from "./state_speed.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** A codec is good enough by default if no continuation differs and the mean is below. */
const KL_MEAN_BELOW = 1e-6;

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    tokens: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const all = await heldOut();
const most = all.length * CONTINUED;
const tokens = numberFlag(flags, "tokens", { min: 1, max: most, integer: true }) ?? 10_000;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 9;

const speeds = stateSpeeds(rounds);

const files = await findModel(flags);
const tokenizer = await openModelTokenizer(files);
const engine = await openEngine(engineOptions(flags, files, { slots: 1, maxStepTokens: 128 }));
if (engine.info.selection?.warning) console.error(engine.info.selection.warning);
const count = Math.ceil(tokens / CONTINUED);
// From all over the set, whose parts differ.
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
    tokens: count * CONTINUED,
    often: STORED_EVERY,
    costs,
    smallest: Object.fromEntries(OCCASIONS.map((stored) => [stored, smallest(stored)])),
    speeds,
  }));
} else {
  console.log(`${files.id} as ${quant} on ${adapter}: ${count * CONTINUED} tokens\n`);
  console.log(
    "| stored | codec | bytes | mean KL | worst KL | argmax differs | by a lead of | continuations differ |",
  );
  console.log("|---|---|---|---|---|---|---|---|");
  for (const cost of costs) console.log(costRow(cost));
  for (const stored of OCCASIONS) {
    console.log(`\nsmallest that is good enough, stored ${stored}: ${smallest(stored)}`);
  }
  console.log("\n| shape | codec | bytes | encode, MB/s | decode, MB/s |");
  console.log("|---|---|---|---|---|");
  for (const speed of speeds) console.log(speedRow(speed));
}

/** The codec of fewest bytes that is good enough by default. */
function smallest(stored: Cost["stored"]): string | null {
  const good = costs
    .filter((cost) => cost.stored === stored)
    .filter((cost) => cost.continuations_differ === 0 && cost.kl_mean < KL_MEAN_BELOW)
    .sort((a, b) => a.bytes - b.bytes);
  return good.length > 0 ? good[0].codec : null;
}

function costRow(cost: Cost): string {
  const short = (value: number) => value === 0 ? "0" : value.toExponential(1);
  const figures = [
    cost.stored,
    cost.codec,
    cost.bytes,
    short(cost.kl_mean),
    short(cost.kl_max),
    cost.argmax_differs,
    short(cost.lead_max),
    cost.continuations_differ,
  ];
  return `| ${figures.join(" | ")} |`;
}

function speedRow({ shape, codec, bytes, encode_mb_s, decode_mb_s }: Speed): string {
  const shown = ({ median, min, max }: Spread) => `${median} (${min} to ${max})`;
  return `| ${shape} | ${codec} | ${bytes} | ${shown(encode_mb_s)} | ${shown(decode_mb_s)} |`;
}

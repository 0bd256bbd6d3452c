/**
 * Our side of `bench/peers.ts`: answers the line protocol of `web-rwkv/src/main.rs` with the speed of
 * our engine. `--shape S --quant Q`, as of every command that opens a model.
 */

import { parseArgs } from "node:util";
import { likeliest } from "../../src/cli/bench_cases.ts";
import { MODEL_FLAGS, printJson } from "../../src/cli/command.ts";
import { findModel } from "../../src/cli/model_files.ts";
import { engineOptions, openEngine } from "../../src/cli/open_engine.ts";
import { feed } from "../../src/engine/feed.ts";
import { lines } from "./lines.ts";

/** Tokens that a state has read before decoding is measured. */
const WARM_PROMPT = 4;

const { values: flags } = parseArgs({ options: MODEL_FLAGS });
const options = engineOptions(flags, await findModel(flags), { slots: 32, maxStepTokens: 512 });
const engine = await openEngine({ ...options, device: "webgpu" });
const { adapter, software } = engine.info;
await printJson({ ready: true, adapter, software });
for await (const line of lines(Deno.stdin.readable)) {
  await printJson({ seconds: await answer(line) });
}
await engine.close();

async function answer(line: string): Promise<number> {
  const [what, ...counts] = line.split(" ");
  if (what === "decode") return await decode(Number(counts[0]), Number(counts[1]));
  if (what === "prefill") return await prefill(Number(counts[0]));
  throw new Error(`Cannot answer "${line}"`);
}

async function decode(batch: number, tokens: number): Promise<number> {
  const slots = Array.from({ length: batch }, (_, slot) => slot);
  for (const slot of slots) await engine.writeState(slot, null);
  let sampled = await nextTokens(slots.map((slot) => prompt(WARM_PROMPT, slot)));
  const start = performance.now();
  for (let t = 0; t < tokens; t++) {
    sampled = await nextTokens(sampled.map((token) => [token]));
  }
  return (performance.now() - start) / 1000;
}

async function prefill(tokens: number): Promise<number> {
  await engine.writeState(0, null);
  const start = performance.now();
  likeliest(await feed(engine, prompt(tokens, 0), { slot: 0, logits: "last" }));
  return (performance.now() - start) / 1000;
}

/** Feeds every slot its tokens, in one step, and samples the next token of each. */
async function nextTokens(tokens: number[][]): Promise<number[]> {
  const runs = tokens.map((tokens, slot) => ({ slot, tokens, logits: "last" as const }));
  return (await engine.step(runs)).map(likeliest);
}

function prompt(tokens: number, sequence: number): number[] {
  return Array.from({ length: tokens }, (_, i) => 1 + ((i + sequence) * 7919) % 65535);
}

/**
 * This project's side of `bench/peers.ts`: answers the line protocol of `web-rwkv/src/main.rs` with
 * measurements of this engine. Flags: `--shape S --quant Q`, as for every command that opens a
 * model.
 */

import { parseArgs } from "node:util";
import { decode, startSlots, timeToFirstToken } from "../../src/benchmark/cases.ts";
import { findModel } from "../../src/model_files/find_model.ts";
import { engineOptions, openEngine } from "../../src/server/open_engine.ts";
import { lines } from "./lines.ts";
import { MODEL_FLAGS } from "../../src/settings/settings.ts";

/** Prompt tokens of each sequence before decoding is measured. */
const WARM_PROMPT = 4;

const { values: flags } = parseArgs({ options: MODEL_FLAGS });
const options = engineOptions(flags, await findModel(flags), { slots: 32, maxStepTokens: 512 });
const engine = await openEngine({ ...options, device: "webgpu" });
const { adapter, software } = engine.info;
console.log(JSON.stringify({ ready: true, adapter, software }));
for await (const line of lines(Deno.stdin.readable)) {
  console.log(JSON.stringify({ seconds: await measure(line) }));
}
await engine.close();

async function measure(line: string): Promise<number> {
  const [what, ...counts] = line.split(" ");
  if (what === "decode") {
    const [batch, tokens] = counts.map(Number);
    await startSlots(engine, Array.from({ length: batch }, (_, slot) => prompt(WARM_PROMPT, slot)));
    return (await decode(engine, { batch, tokens })).seconds;
  }
  if (what === "prefill") return await timeToFirstToken(engine, prompt(Number(counts[0]), 0));
  throw new Error(`Unknown request "${line}"`);
}

function prompt(tokens: number, sequence: number): number[] {
  return Array.from({ length: tokens }, (_, i) => 1 + ((i + sequence) * 7919) % 65535);
}

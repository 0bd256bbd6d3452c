/**
 * `deno task bench`: decode and prefill speed of the engine on this machine, as JSON.
 *
 * Flags: those of every command that opens a model, `--rounds N` (5), `--tokens N` (64). Each round
 * decodes N tokens in one slot and reads a prompt of 8 N in another; figures are medians over rounds.
 */

import { parseArgs } from "node:util";
import { MODEL_FLAGS, number } from "../src/cli/command.ts";
import { findModel } from "../src/cli/model_files.ts";
import { engineOptions, openEngine } from "../src/cli/open_engine.ts";
import { feed } from "../src/engine/feed.ts";

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    rounds: { type: "string" },
    tokens: { type: "string" },
  },
});
const rounds = number(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 5;
const tokens = number(flags, "tokens", { min: 1, max: 1e6, integer: true }) ?? 64;
const files = await findModel(flags);
const engine = await openEngine(engineOptions(flags, files, { slots: 8, maxStepTokens: 256 }));
const { vocabulary } = engine.info.dimensions;
const prompt = Array.from({ length: 8 * tokens }, (_, i) => 1 + (i * 7919) % (vocabulary - 1));

const decode1: number[] = [];
const decode8: number[] = [];
const prefill: number[] = [];
await feed(engine, prompt, { slot: 0, logits: "last" });
for (let round = 0; round < rounds; round++) {
  decode1.push(
    await rate(tokens, async () => {
      for (let t = 0; t < tokens; t++) {
        await engine.step([{ slot: 0, tokens: [prompt[t]], logits: "last" }]);
      }
    }),
  );
  decode8.push(
    await rate(8 * tokens, async () => {
      for (let t = 0; t < tokens; t++) {
        await engine.step(Array.from(
          { length: 8 },
          (_, slot) => ({ slot, tokens: [prompt[t + slot]], logits: "last" as const }),
        ));
      }
    }),
  );
  prefill.push(
    await rate(prompt.length, () => feed(engine, prompt, { slot: 1, logits: "last" })),
  );
}
await engine.close();
console.log(JSON.stringify(
  {
    model: files.id,
    device: engine.info.device,
    adapter: engine.info.adapter,
    quant: engine.info.quant,
    memory: engine.info.memory,
    commit: await commit(),
    tokens_per_second: {
      "decode-1": summary(decode1),
      "decode-8": summary(decode8),
      [`prefill-${prompt.length}`]: summary(prefill),
    },
  },
  null,
  2,
));

async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return count / ((performance.now() - start) / 1000);
}

function summary(rates: number[]): { median: number; min: number; max: number } {
  const sorted = [...rates].sort((a, b) => a - b);
  const round = (value: number) => Math.round(value * 10) / 10;
  return {
    median: round(sorted[Math.floor(sorted.length / 2)]),
    min: round(sorted[0]),
    max: round(sorted[sorted.length - 1]),
  };
}

async function commit(): Promise<string> {
  const git = new Deno.Command("git", { args: ["describe", "--always", "--dirty"] });
  const { stdout } = await git.output();
  return new TextDecoder().decode(stdout).trim();
}

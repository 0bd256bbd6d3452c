/**
 * `deno task bench:quant`: what each way of holding weights costs, as a table in Markdown: for the
 * demo model over `models/demo/dialogues.txt`, for the golden checkpoints (random weights) over
 * their own tokens. On the CPU engine, whose weights are those of the GPU engine.
 */

import { matrixBytes } from "../kernels/layouts.ts";
import { DEMO_MODEL, findModel, modelTokenizer } from "../src/cli/model_files.ts";
import { openEngine } from "../src/cli/open_engine.ts";
import { score } from "../src/cli/score.ts";
import { QUANT_NAMES, type QuantName } from "../src/quant/mod.ts";
import { GOLDEN, readGolden } from "../tests/golden_data.ts";

console.log("| model | weights | bits | perplexity | mean KL | worst KL | same argmax |");
console.log("|---|---|---|---|---|---|---|");
for (const name of ["demo", "rwkv5-bf16", "rwkv5-f32-n32"]) {
  const files = await findModel({ model: name === "demo" ? DEMO_MODEL : GOLDEN + name });
  const tokens = name === "demo"
    ? (await modelTokenizer(files)).encode(await Deno.readTextFile(`${DEMO_MODEL}/dialogues.txt`))
    : (await readGolden(name)).tokens;
  const open = (quant: QuantName) =>
    openEngine({ source: files.source, device: "cpu", quant, slots: 1, maxStepTokens: 64 });
  for (const quant of QUANT_NAMES) {
    const [engine, reference] = [await open(quant), await open("none")];
    const { perplexity, kl_mean, kl_max, top1 } = await score(tokens, engine, reference);
    const figures = [
      bitsOf(quant),
      perplexity.toFixed(3),
      kl_mean!.toExponential(1),
      kl_max!.toExponential(1),
      `${(100 * top1!).toFixed(2)} %`,
    ];
    console.log(`| ${name} | ${quant} | ${figures.join(" | ")} |`);
  }
}

/** Bits of a weight in device memory, its part of the scale included. */
function bitsOf(quant: QuantName): number {
  return matrixBytes(1024, 1024, quant === "none" ? "f32" : quant) * 8 / 1024 ** 2;
}

/**
 * `deno task bench:quant`: what each way of holding weights costs, as a table in Markdown: for the
 * demo model over `models/demo/dialogues.txt`, for the golden checkpoints (random weights) over
 * their own tokens. On the CPU engine, whose weights are those of the GPU engine.
 */

import { DEMO_MODEL, findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { bitsPerWeight } from "../src/model_files/model_report.ts";
import { openEngine } from "../src/server/open_engine.ts";
import { openModelSource } from "../src/model_files/open_model_file.ts";
import { score } from "../src/benchmark/score.ts";
import { type Quant, QUANT_NAMES } from "../src/quant/mod.ts";
import { GOLDEN, readGolden } from "../tests/support/golden_data.ts";

const POLICIES: readonly Quant[] = [...QUANT_NAMES, "nf4,head=int8", "nf4,emb=int8,head=int8"];

console.log("| model | weights | bits | perplexity | mean KL | worst KL | same argmax |");
console.log("|---|---|---|---|---|---|---|");
for (const name of ["demo", "rwkv5-bf16", "rwkv5-f32-n32"]) {
  const files = await findModel({ model: name === "demo" ? DEMO_MODEL : GOLDEN + name });
  const { source } = files;
  const tokens = name === "demo"
    ? (await openModelTokenizer(files)).encode(
      await Deno.readTextFile(`${DEMO_MODEL}/dialogues.txt`),
    )
    : (await readGolden(name)).tokens;
  const open = (quant: Quant) =>
    openEngine({ source, device: "cpu", quant, slots: 1, maxStepTokens: 64 });
  for (const quant of POLICIES) {
    const [engine, reference] = [await open(quant), await open("none")];
    const { perplexity, kl_mean, kl_max, top1 } = await score(tokens, engine, reference);
    const { model } = await openModelSource(source, quant);
    const figures = [
      Number(bitsPerWeight(model, quant).toFixed(2)),
      perplexity.toFixed(3),
      kl_mean!.toExponential(1),
      kl_max!.toExponential(1),
      `${(100 * top1!).toFixed(2)} %`,
    ];
    console.log(`| ${name} | ${quant} | ${figures.join(" | ")} |`);
    await model.close();
  }
}

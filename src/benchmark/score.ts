/** Evaluates the predictions of an engine over a text, optionally against a reference engine. */

import { checkLogits } from "../engine/check_runs.ts";
import type { Engine, OnProgress } from "../engine/engine.ts";
import { type EvalReport, Evaluation } from "./eval_metrics.ts";

/** Scores every token after the first. With `reference`, also compares `engine` with it. */
export async function score(
  tokens: readonly number[],
  engine: Engine,
  reference: Engine | null,
  onProgress: OnProgress = () => {},
): Promise<EvalReport> {
  const { maxStepTokens, dimensions: { vocabulary } } = engine.info;
  const evaluation = new Evaluation();
  for (let from = 0; from < tokens.length - 1; from += maxStepTokens) {
    const chunk = tokens.slice(from, Math.min(from + maxStepTokens, tokens.length - 1));
    const run = { slot: 0, tokens: chunk, logits: "all" as const };
    const [logits] = await engine.step([run]);
    const [others] = reference ? await reference.step([run]) : [null];
    checkLogits(logits, "this text");
    chunk.forEach((_, i) => {
      const row = (all: Float32Array) => all.subarray(i * vocabulary, (i + 1) * vocabulary);
      evaluation.add(row(logits), tokens[from + i + 1], others && row(others));
    });
    onProgress(from + chunk.length, tokens.length - 1);
  }
  return evaluation.report();
}

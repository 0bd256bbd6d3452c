/** `eval`: measures how well a model predicts a text, and the loss from quantization. */

import { InferenceError } from "../../core/errors.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { findModel, openModelTokenizer } from "../../model_files/find_model.ts";
import { type EngineOptions, engineOptions, openEngine } from "../../server/open_engine.ts";
import { withProgress } from "../output/progress.ts";
import { score } from "../../benchmark/score.ts";
import { printJson, printText } from "../output/print.ts";
import { numberFlag, stringFlag, usageError } from "../../settings/flags.ts";
import { quantFlag } from "../../settings/model_settings.ts";
import { MODEL_FLAGS } from "../../settings/settings.ts";

export const evaluate: Command = {
  name: "eval",
  summary: "Scores a text, and with --against measures quantization loss",
  examples: [
    "eval --file story.txt --json",
    "eval --file story.txt --quant nf4 --against none",
  ],
  flags: {
    ...MODEL_FLAGS,
    file: { type: "string", placeholder: "FILE", help: "file with the text" },
    against: {
      type: "string",
      placeholder: MODEL_FLAGS.quant.placeholder,
      help: "compare with the same model in this quantization",
    },
    chunk: { type: "string", placeholder: "N", help: "tokens per step", defaultValue: "64" },
    ...JSON_FLAG,
  },
  run: async (flags) => {
    const maxStepTokens = numberFlag(flags, "chunk", { min: 1, max: 1024, integer: true }) ?? 64;
    const path = stringFlag(flags, "file");
    if (!path) throw usageError("Cannot score: the text is missing; name a file with --file");
    const files = await findModel(flags);
    const tokens = (await openModelTokenizer(files)).encode(await readText(path));
    if (tokens.length < 2) {
      throw new InferenceError(
        "invalid_value",
        `Cannot score ${path}: it has fewer than 2 tokens; use a longer text`,
        {
          param: "file",
        },
      );
    }
    const against = quantFlag(flags, "against");
    const options = engineOptions(flags, files, { slots: 1, maxStepTokens });
    const open = (label: string, options: EngineOptions) =>
      withProgress(
        label,
        (onProgress) =>
          openEngine(options, { onProgress, onNotice: (_, line) => console.error(line) }),
      );
    const engine = await open("Loading", options);
    const reference = against &&
      await open(`Loading as ${against}`, { ...options, quant: against });
    const report = await withProgress(
      "Scoring",
      (onProgress) => score(tokens, engine, reference ?? null, onProgress),
      (count) => `${count} tokens`,
    );
    await engine.close();
    await reference?.close();
    if (flags.json) return await printJson(report);
    const lines = Object.entries(report).map(([name, value]) =>
      `${name.padEnd(12)}${Number(value.toPrecision(6))}`
    );
    await printText(`${lines.join("\n")}\n`);
  },
};

async function readText(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).replace(/^\ufeff/, "");
  } catch (cause) {
    throw new InferenceError("file_error", `Cannot read ${path}: ${(cause as Error).message}`, {
      cause,
      param: "file",
    });
  }
}

/** `generate`: continues a text. */

import { PLAIN_SAMPLING, type SamplingParams } from "../core/sampling.ts";
import { checkSampling } from "../sampler/check_sampling.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { tokenTable } from "../tokenizer/token_table.ts";
import { TextStream } from "../tokenizer/text_stream.ts";
import {
  type Command,
  type Flags,
  JSON_FLAG,
  MODEL_FLAGS,
  number,
  printJson,
  printText,
  SAMPLING_FLAGS,
  text,
  usageError,
} from "./command.ts";
import { findModel, modelTokenizer } from "./model_files.ts";
import { cpuNotice, engineOptions, openEngine } from "./open_engine.ts";
import { withProgress } from "./progress.ts";

export const generate: Command = {
  name: "generate",
  summary: "Continues a text, streaming it to stdout",
  examples: [
    "generate --prompt $'User: Tell me a story.\\n\\nAssistant:' --max-tokens 80",
    "generate --model world.pth --prompt 'Once upon a time' --temperature 0 --json",
  ],
  flags: {
    ...MODEL_FLAGS,
    prompt: { type: "string", value: "TEXT", help: "the text to continue" },
    ...SAMPLING_FLAGS,
    ...JSON_FLAG,
  },
  run: async (flags) => {
    const prompt = text(flags, "prompt");
    if (!prompt) throw usageError("Cannot continue nothing: give a text with --prompt TEXT");
    const sampling = samplingFlags(flags);
    const maxTokens = number(flags, "max-tokens", { min: 1, max: 1e6, integer: true }) ?? 256;
    const files = await findModel(flags);
    const tokenizer = await modelTokenizer(files);
    const options = {
      ...engineOptions(flags, files, { slots: 1, maxStepTokens: 256 }),
      tokens: tokenTable(tokenizer),
    };
    const engine = await withProgress("Loading", (onProgress) => openEngine(options, onProgress));
    const notice = cpuNotice(engine.info, flags);
    if (notice) console.error(notice);
    try {
      const generation = new Scheduler(engine).submit({
        state: null,
        tokens: tokenizer.encode(prompt),
        sampling,
        counts: new Map(),
        position: 0,
        maxTokens,
        endToken: tokenizer.endOfText,
        stops: null,
      });
      const stream = new TextStream();
      const tokens: number[] = [];
      let written = "";
      const write = async (piece: string) => {
        written += piece;
        if (!flags.json) await printText(piece);
      };
      for await (const batch of generation) {
        tokens.push(...batch.tokens);
        await write(stream.push(tokenizer.decode(batch.tokens)));
      }
      await write(stream.flush());
      const { reason } = await generation.finished;
      if (flags.json) await printJson({ text: written, tokens, finish_reason: reason });
      else await printText("\n");
    } finally {
      await engine.close();
    }
  },
};

/** `--temperature`, `--top-p` and `--seed`. */
export function samplingFlags(flags: Flags): SamplingParams {
  const seed = text(flags, "seed");
  if (seed !== undefined && !/^\d{1,19}$/.test(seed)) {
    throw usageError(`Cannot use --seed ${seed}: it must be a whole number of at most 19 digits`);
  }
  const sampling: SamplingParams = {
    ...PLAIN_SAMPLING,
    temperature: number(flags, "temperature", { min: 0, max: 5 }) ?? 1,
    topP: number(flags, "top-p", { min: 0, max: 1 }) ?? 0.5,
    seed: seed === undefined ? crypto.getRandomValues(new BigUint64Array(1))[0] : BigInt(seed),
  };
  checkSampling(sampling);
  return sampling;
}

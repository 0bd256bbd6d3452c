/** `generate`: continues a text. */

import { NEUTRAL_SAMPLING, type SamplingParams } from "../../core/sampling.ts";
import { checkSampling } from "../../sampler/check_sampling.ts";
import { Scheduler } from "../../scheduler/scheduler.ts";
import { tokenTable } from "../../tokenizer/token_table.ts";
import { TextStream } from "../../tokenizer/text_stream.ts";
import { type Command, JSON_FLAG, SAMPLING_FLAGS, samplingParameters } from "../args/command.ts";
import { findModel, openModelTokenizer } from "../../model_files/find_model.ts";
import { engineOptions, openEngineWorker } from "../../server/open_engine.ts";
import { withProgress } from "../output/progress.ts";
import { printable } from "../output/terminal.ts";
import { printDeviceWarning } from "../output/worker_text.ts";
import { printJson, printText, readStdin } from "../output/print.ts";
import { type Flags, numberFlag, stringFlag, usageError } from "../../settings/flags.ts";
import { MODEL_FLAGS } from "../../settings/settings.ts";

export const generate: Command = {
  name: "generate",
  summary: "Continues a text and streams it to stdout",
  details: [
    "Only the generated text goes to stdout. The prompt is --prompt or, if that is missing or -, " +
    "the text on stdin without its last line break.",
  ],
  positional: "[-]",
  positionalChoices: ["-"],
  examples: [
    "generate --prompt $'User: Tell me a story.\\n\\nAssistant:' --max-tokens 80",
    "printf 'User: Hi!\\n\\nAssistant:' | rwkv generate --temperature 0 --json",
    "generate --prompt 'Once upon a time' | head -c 200",
  ],
  flags: {
    ...MODEL_FLAGS,
    prompt: { type: "string", placeholder: "TEXT", help: "the text to continue; - is stdin" },
    ...SAMPLING_FLAGS,
    ...JSON_FLAG,
  },
  run: async (flags, positionals) => {
    const sampling = samplingFlags(flags);
    const maxTokens = numberFlag(flags, "max-tokens", { min: 1, max: 1e6, integer: true }) ?? 256;
    const prompt = await readPrompt(flags, positionals);
    const files = await findModel(flags);
    const tokenizer = await openModelTokenizer(files);
    const options = {
      ...engineOptions(flags, files, { slots: 1, maxStepTokens: 256 }),
      tokens: tokenTable(tokenizer),
      endOfText: tokenizer.endOfText,
    };
    // Runs in a Web Worker so that text is written while the next token is computed.
    const engine = await withProgress(
      "Loading",
      (onProgress) =>
        openEngineWorker(options, { onProgress, onNotice: (_, line) => console.error(line) }),
    );
    printDeviceWarning(engine.info);
    const stopped = new AbortController();
    let finished: Promise<unknown> = Promise.resolve();
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
        signal: stopped.signal,
      });
      finished = generation.finished;
      const stream = new TextStream();
      const tokens: number[] = [];
      let written = "";
      const terminal = Deno.stdout.isTerminal();
      const write = async (piece: string) => {
        written += piece;
        if (!flags.json) await printText(terminal ? printable(piece) : piece);
      };
      for await (const batch of generation) {
        tokens.push(...batch.tokens);
        await write(stream.push(tokenizer.decode(batch.tokens)));
      }
      await write(stream.flush());
      const { reason } = await generation.finished;
      if (flags.json) await printJson({ text: written, tokens, finish_reason: reason });
      else if (terminal) await printText("\n");
    } finally {
      // After stdout is closed, generation would continue. The engine ends with the process.
      stopped.abort();
      await finished.catch(() => {});
    }
  },
};

/** @throws InferenceError `usage` if there is no prompt. */
async function readPrompt(flags: Flags, positionals: readonly string[]): Promise<string> {
  const given = stringFlag(flags, "prompt");
  const unexpected = positionals.find((argument, i) => i > 0 || argument !== "-");
  if (unexpected !== undefined || (positionals.length > 0 && given !== undefined)) {
    const argument = unexpected ?? "-";
    throw usageError(
      `Cannot use "${argument}": give the prompt either with --prompt TEXT or on stdin with -`,
    );
  }
  const fromStdin = positionals.length > 0 || given === "-" ||
    (given === undefined && !Deno.stdin.isTerminal());
  const prompt = fromStdin
    ? new TextDecoder().decode(await readStdin()).replace(/\r?\n$/, "")
    : given;
  if (prompt) return prompt;
  throw usageError("Cannot generate: the prompt is empty; use --prompt TEXT or stdin");
}

/** Returns `--temperature`, `--top-p` and `--seed`. */
export function samplingFlags(flags: Flags): SamplingParams {
  const seed = stringFlag(flags, "seed");
  if (seed !== undefined && !/^\d{1,19}$/.test(seed)) {
    throw usageError(`Cannot use --seed ${seed}: it must be a whole number of at most 19 digits`);
  }
  const sampling: SamplingParams = {
    ...NEUTRAL_SAMPLING,
    ...samplingParameters(flags),
    seed: seed === undefined ? crypto.getRandomValues(new BigUint64Array(1))[0] : BigInt(seed),
  };
  checkSampling(sampling);
  return sampling;
}

/** `pull`: downloads a model from the hub into the cache. */

import {
  fileName,
  type HubFile,
  isSafeName,
  parsePullTarget,
  SHORT_NAMES,
} from "../../hub/names.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { convertPulled } from "./convert_pulled.ts";
import { modelToJson } from "./models.ts";
import { withProgress } from "../output/progress.ts";
import { nearest } from "../../core/nearest.ts";
import { pullModel } from "../../model_files/pull_model.ts";
import { withInterruptSignal } from "../../server/signals.ts";
import { formatBytes } from "../../core/units.ts";
import { printJson } from "../output/print.ts";
import { QUANT_NAMES } from "../../quant/mod.ts";
import { type FlagSpec, stringFlag, usageError } from "../../settings/flags.ts";
import { quantFlag } from "../../settings/model_settings.ts";

export const pull: Command = {
  name: "pull",
  summary: "Downloads a model and its vocabulary for use by name",
  positional: `${SHORT_NAMES.join("|")} | OWNER/REPO [FILE]`,
  examples: [
    "pull 0.4b",
    "pull 1.5b --quant int8",
    "pull OWNER/REPO model.pth",
    "pull OWNER/GATED-REPO   # with HF_TOKEN set",
  ],
  flags: {
    quant: {
      type: "string",
      placeholder: QUANT_NAMES.filter((name) => name !== "none").join("|"),
      help: "also write a quantized copy, named with a suffix such as -int8",
    },
    name: {
      type: "string",
      placeholder: "NAME",
      help: "name of the model in the cache",
      defaultText: "its file's name",
    },
    ...JSON_FLAG,
  } satisfies Record<string, FlagSpec>,
  run: async (flags, positionals) => {
    const [requested, file] = positionals;
    if (requested === undefined || positionals.length > 2) {
      throw usageError(
        `Cannot pull: name a size (${SHORT_NAMES.join(", ")}), or OWNER/REPO and a file`,
      );
    }
    const target = parsePullTarget(requested, file);
    if (!target) {
      const guess = nearest(requested, SHORT_NAMES);
      throw usageError(
        `Cannot pull ${requested}: it is neither OWNER/REPO nor one of ${SHORT_NAMES.join(", ")}` +
          (guess ? `; did you mean ${guess}?` : ""),
      );
    }
    const name = stringFlag(flags, "name");
    if (name !== undefined && !isSafeName(name)) {
      throw usageError(`Cannot use --name ${name}: use letters, digits, and . _ - between them`);
    }
    const quant = quantFlag(flags, "quant");
    const interactive = Deno.stdin.isTerminal() && Deno.stderr.isTerminal() && !flags.json;
    const onMessage = (line: string) => console.error(line);
    const model = await withInterruptSignal(async (signal) => {
      const options = {
        name,
        onMessage,
        signal,
        withProgress,
        ...interactive ? { choose: promptForFile } : {},
      };
      const pulled = await pullModel(target, options);
      return quant ? await convertPulled(pulled, { quant, onMessage, signal }) : pulled;
    });
    const { names, vocabulary, version, quant: currentQuant } = model.record!;
    onMessage(`Model folder: ${model.folder}`);
    if (version !== null) {
      const vocab = vocabulary ? "" : " --vocab FILE";
      onMessage(`Serve it:    deno task rwkv serve --model ${names[0] ?? model.name}${vocab}`);
      const pullArguments = [requested, ...file ? [file] : [], ...name ? ["--name", name] : []]
        .join(
          " ",
        );
      if (!currentQuant) {
        onMessage(`Quantize it: deno task rwkv pull ${pullArguments} --quant int8`);
      }
    }
    if (flags.json) await printJson(modelToJson(model));
  },
};

/** Prompts for a number until the answer is valid. */
function promptForFile(files: readonly HubFile[]): HubFile {
  console.error("Which file?");
  files.forEach(({ path, size }, i) => {
    console.error(`${`${i + 1}`.padStart(4)}  ${path}  (${formatBytes(size)})`);
  });
  while (true) {
    const answer = prompt("Number:");
    if (answer === null) throw usageError("Cannot pull: no file was chosen");
    const chosen = files[Number(answer) - 1] ??
      files.find(({ path }) => path === answer.trim() || fileName(path) === answer.trim());
    if (chosen) return chosen;
  }
}

/** `pull`: downloads a model from the hub into the cache. */

import { fileName, type HubFile, isSafeName, pullTarget, SHORT_NAMES } from "../../hub/names.ts";
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
import { type FlagSpec, text, usageError } from "../../settings/flags.ts";
import { quantFlag } from "../../settings/model_settings.ts";

export const pull: Command = {
  name: "pull",
  summary: "Downloads a model and its vocabulary, to be used by its name",
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
      value: QUANT_NAMES.filter((name) => name !== "none").join("|"),
      help: "write it quantized as well, to load at once, under its name with -int8 behind",
    },
    name: {
      type: "string",
      value: "NAME",
      help: "what it is called here",
      defaultText: "its file's name",
    },
    ...JSON_FLAG,
  } satisfies Record<string, FlagSpec>,
  run: async (flags, positionals) => {
    const [wanted, file] = positionals;
    if (wanted === undefined || positionals.length > 2) {
      throw usageError(
        `Cannot pull: name a size (${SHORT_NAMES.join(", ")}), or OWNER/REPO and a file`,
      );
    }
    const target = pullTarget(wanted, file);
    if (!target) {
      const guess = nearest(wanted, SHORT_NAMES);
      throw usageError(
        `Cannot pull ${wanted}: it is neither OWNER/REPO nor one of ${SHORT_NAMES.join(", ")}` +
          (guess ? `; did you mean ${guess}?` : ""),
      );
    }
    const name = text(flags, "name");
    if (name !== undefined && !isSafeName(name)) {
      throw usageError(`Cannot use --name ${name}: use letters, digits, and . _ - between them`);
    }
    const quant = quantFlag(flags, "quant");
    const asks = Deno.stdin.isTerminal() && Deno.stderr.isTerminal() && !flags.json;
    const say = (line: string) => console.error(line);
    const model = await withInterruptSignal(async (signal) => {
      const options = {
        name,
        onMessage: say,
        signal,
        withProgress,
        ...asks ? { choose: askWhich } : {},
      };
      const pulled = await pullModel(target, options);
      return quant ? await convertPulled(pulled, { quant, say, signal }) : pulled;
    });
    const { names, vocabulary, version, quant: held } = model.record!;
    say(`It is in ${model.folder}`);
    if (version !== null) {
      const vocab = vocabulary ? "" : " --vocab FILE";
      say(`Serve it:    deno task rwkv serve --model ${names[0] ?? model.name}${vocab}`);
      const again = [wanted, ...file ? [file] : [], ...name ? ["--name", name] : []].join(" ");
      if (!held) say(`Quantize it: deno task rwkv pull ${again} --quant int8`);
    }
    if (flags.json) await printJson(modelToJson(model));
  },
};

/** Asks a person at a terminal, until the answer is one of the numbers. */
function askWhich(files: readonly HubFile[]): HubFile {
  console.error("Which one?");
  files.forEach(({ path, size }, i) => {
    console.error(`${`${i + 1}`.padStart(4)}  ${path}  (${formatBytes(size)})`);
  });
  while (true) {
    const answer = prompt("Its number:");
    if (answer === null) throw usageError("Cannot pull: no file was chosen");
    const chosen = files[Number(answer) - 1] ??
      files.find(({ path }) => path === answer.trim() || fileName(path) === answer.trim());
    if (chosen) return chosen;
  }
}

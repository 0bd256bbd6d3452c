/** `completions`: prints a script that completes commands, flags and values in a shell. */

import { type Command } from "../args/command.ts";
import { bashScript, fishScript, zshScript } from "../args/completion_scripts.ts";
import { printText } from "../output/print.ts";
import { usageError } from "../../settings/flags.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

export function completionsCommand(commands: () => readonly Command[]): Command {
  const shells = Object.keys(SCRIPTS);
  return {
    name: "completions",
    summary: "Prints a script that completes commands and flags in a shell",
    details: [
      "The script completes the word rwkv, so define a function of that name first: for bash and " +
      `zsh rwkv() { deno task -q rwkv "$@"; }, and a similar one for fish.`,
    ],
    positional: shells.join("|"),
    positionalChoices: shells,
    examples: [
      "completions bash > ~/.local/share/bash-completion/completions/rwkv",
      "completions zsh > ~/.zfunc/_rwkv   # a folder of $fpath",
      "completions fish > ~/.config/fish/completions/rwkv.fish",
    ],
    flags: {},
    run: async (_, positionals) => {
      const [shell] = positionals;
      if (positionals.length !== 1 || !Object.hasOwn(SCRIPTS, shell)) {
        const what = positionals.length === 0 ? "no shell" : `"${positionals.join(" ")}"`;
        throw usageError(`Cannot print completions for ${what}: name one of ${shells.join(", ")}`);
      }
      await printText(SCRIPTS[shell as keyof typeof SCRIPTS](commands()));
    },
  };
}

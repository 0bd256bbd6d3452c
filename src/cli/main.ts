/** The command line: picks the command, and turns errors into messages and exit statuses. */

import { InferenceError } from "../core/errors.ts";
import { type Command, parseFlags } from "./command.ts";
import { commandHelp, mainHelp, nearest } from "./help.ts";
import { bench } from "./bench.ts";
import { chat } from "./chat.ts";
import { convert } from "./convert.ts";
import { evaluate } from "./eval.ts";
import { generate } from "./generate.ts";
import { info } from "./info.ts";
import { logits } from "./logits.ts";
import { models } from "./models.ts";
import { pull } from "./pull.ts";
import { rm } from "./rm.ts";
import { serve } from "./serve.ts";
import { state } from "./state.ts";
import { tokenize } from "./tokenize.ts";

const COMMANDS: readonly Command[] = [
  serve,
  chat,
  generate,
  pull,
  models,
  rm,
  state,
  convert,
  info,
  evaluate,
  logits,
  tokenize,
  bench,
];

/** Runs one command line; returns the exit status: 0 done, 1 failed, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    const topic = COMMANDS.find((command) => command.name === rest[0]);
    console.log(topic ? commandHelp(topic) : mainHelp(COMMANDS));
    return 0;
  }
  const command = COMMANDS.find((command) => command.name === name);
  if (!command) {
    const guess = nearest(name, COMMANDS.map((command) => command.name));
    console.error(`error: there is no command "${name}"${guess ? `; did you mean ${guess}?` : ""}`);
    console.error("Run `deno task rwkv help` for what there is");
    return 2;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    console.log(commandHelp(command));
    return 0;
  }
  try {
    const { flags, positionals } = parseFlags(command, rest, (name) => Deno.env.get(name));
    await command.run(flags, positionals);
    return 0;
  } catch (error) {
    if (error instanceof InferenceError) {
      console.error(`error: ${error.message}`);
      if (error.code !== "usage") return 1;
      console.error(`Run \`deno task rwkv ${command.name} --help\` for its flags`);
      return 2;
    }
    if (error instanceof Deno.errors.NotCapable) {
      console.error(
        `error: ${
          error.message.split(",")[0]
        }, which this task may not; \`deno task rwkv\` may more`,
      );
      return 1;
    }
    console.error(error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));

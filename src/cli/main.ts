/** The command line: runs a command and maps errors to messages and exit statuses. */

import { ApiError } from "../client/api_error.ts";
import { InferenceError } from "../core/errors.ts";
import { COMMANDS } from "./commands.ts";
import { findCommand } from "./args/help.ts";
import { parseFlags } from "../settings/parse_flags.ts";
import { painter } from "./output/terminal.ts";
import { CLI_COMMAND } from "../settings/flags.ts";

const isHelp = (arg: string) => arg === "--help" || arg === "-h";

/** Exit status of a program that receives SIGPIPE: 128 + 13. */
const READER_GONE = 141;

/** Runs a command line. Returns the exit status: 0 success, 1 failure, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const [first = "help", ...rest] = args;
  const [name, given] = isHelp(first)
    ? ["help", rest]
    : rest.some(isHelp)
    ? ["help", [first]]
    : [first, rest];
  try {
    const command = findCommand(COMMANDS, name);
    const { flags, positionals } = parseFlags(command, given, (name) => Deno.env.get(name));
    await command.run(flags, positionals);
    return 0;
  } catch (error) {
    const known = name !== "help" && COMMANDS.some((command) => command.name === name);
    return report(error, known ? name : null);
  }
}

/** Prints an error and returns the exit status. */
function report(error: unknown, command: string | null): number {
  const fail = (message: string) => {
    console.error(`${painter(Deno.stderr)("red", "error:")} ${message}`);
  };
  if (error instanceof Deno.errors.BrokenPipe) return READER_GONE;
  if (error instanceof InferenceError) {
    fail(error.message);
    if (error.code !== "usage") return 1;
    console.error(`\`${CLI_COMMAND} help${command ? ` ${command}` : ""}\` shows the usage`);
    return 2;
  }
  if (error instanceof ApiError) {
    fail(error.message);
    return 1;
  }
  if (error instanceof Deno.errors.NotCapable) {
    fail(
      `${
        error.message.split(",")[0]
      }, which this task does not have; \`${CLI_COMMAND}\` has more permissions`,
    );
    return 1;
  }
  console.error(error);
  return 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));

/** Help texts, 80 columns wide, built from the command table, and the command that prints them. */

import { type Command } from "./command.ts";
import { CLI_COMMAND } from "../../settings/flags.ts";
import { nearest } from "../../core/nearest.ts";
import { type Paint, painter, PLAIN_PAINT } from "../output/terminal.ts";
import { printText } from "../output/print.ts";
import { type FlagSpec, usageError } from "../../settings/flags.ts";

const COLUMNS = 80;

/** A space that `wrap` does not break at. */
const NO_BREAK = "\u00a0";

/** Column of a flag's description. */
const FLAG_COLUMNS = 24;

/** Returns the command that prints help. */
export function helpCommand(commands: () => readonly Command[]): Command {
  return {
    name: "help",
    summary: "Lists the commands, or shows the help of one",
    positional: "[COMMAND]",
    get positionalChoices() {
      return commands().map(({ name }) => name);
    },
    examples: ["help", "help serve"],
    flags: {},
    run: async (_, [name]) => {
      const paint = painter(Deno.stdout);
      const text = name === undefined
        ? mainHelp(commands(), paint)
        : commandHelp(findCommand(commands(), name), paint);
      await printText(`${text}\n`);
    },
  };
}

/** @throws InferenceError `usage` with a suggestion if the command does not exist. */
export function findCommand(commands: readonly Command[], name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found) return found;
  const guess = nearest(name, commands.map((command) => command.name));
  throw usageError(
    `Cannot run "${name}": no such command${guess ? `, did you mean "${guess}"?` : ""}`,
  );
}

/** Returns the output of `help`. */
export function mainHelp(commands: readonly Command[], paint: Paint = PLAIN_PAINT): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "Runs RWKV-5 language models and stores conversations by state id.",
    "",
    `${paint("bold", "Usage:")} ${CLI_COMMAND} COMMAND [FLAGS]`,
    "",
    paint("bold", "Commands:"),
    ...commands.flatMap(({ name, summary }) => row(name, summary, width + 4)),
    "",
    paint("bold", "Examples:"),
    ...["serve", "chat", "generate --prompt 'User: Tell me a story.'"].flatMap(exampleLines),
    "",
    `\`${CLI_COMMAND} help COMMAND\` shows the flags of a command.`,
    "Exit status: 0 done, 1 failed, 2 wrong usage.",
  ].join("\n");
}

/** Returns the output of `help COMMAND` and `COMMAND --help`. */
export function commandHelp(command: Command, paint: Paint = PLAIN_PAINT): string {
  const { name, summary, details = [], examples, positional = "", flags } = command;
  const rows = Object.entries(flags).map(([flag, spec]) => [flagUsage(flag, spec), spec] as const);
  const ends = rows.length > 0 ? " [FLAGS]" : "";
  return [
    ...wrap(`${summary}.`, COLUMNS),
    "",
    ...positional.split(" | ").map((usage, i) =>
      `${i === 0 ? paint("bold", "Usage:") : "      "} ${CLI_COMMAND} ${name}${
        usage && ` ${usage}`
      }${ends}`
    ),
    ...details.flatMap((paragraph) => ["", ...wrap(paragraph, COLUMNS)]),
    ...rows.length > 0 ? ["", paint("bold", "Flags:")] : [],
    ...rows.flatMap(([usage, spec]) => row(usage, flagText(spec), FLAG_COLUMNS)),
    "",
    paint("bold", "Examples:"),
    ...examples.flatMap(exampleLines),
  ].join("\n");
}

function flagUsage(flag: string, { placeholder }: FlagSpec): string {
  return `--${flag}${placeholder ? ` ${placeholder}` : ""}`;
}

function flagText({ help, defaultValue, defaultText, env }: FlagSpec): string {
  const fallback = defaultText ?? defaultValue;
  return `${help}${fallback !== undefined ? ` [default:${NO_BREAK}${fallback}]` : ""}` +
    (env ? ` [env:${NO_BREAK}${env}]` : "");
}

/**
 * Formats a name with its description in a column. The description starts on the next line if the
 * name is too long.
 */
function row(name: string, text: string, column: number): string[] {
  const lines = wrap(text, COLUMNS - column).map((line) => " ".repeat(column) + line);
  const head = `  ${name}`;
  if (head.length + 2 > column) return [head, ...lines];
  return [head + lines[0].slice(head.length), ...lines.slice(1)];
}

/** Formats an example for pasting, over several lines if it is long. */
function exampleLines(example: string): string[] {
  const [line, comment] = example.split(/ +# /);
  const whole = /\brwkv /.test(line)
    ? line.replace(/\brwkv /, `${CLI_COMMAND} `)
    : `${CLI_COMMAND} ${line}`;
  const lines = [""];
  // Keep a flag and its value on one line.
  for (const part of whole.split(/ (?=--|[|>] )/)) {
    const last = lines.length - 1;
    const joined = lines[last] === "" ? part : `${lines[last]} ${part}`;
    if (lines[last] === "" || joined.length + 4 <= COLUMNS) lines[last] = joined;
    else lines.push(part);
  }
  return [
    ...comment ? [`  # ${comment}`] : [],
    ...lines.map((line, i) =>
      (i === 0 ? "  " : "    ") + line + (i < lines.length - 1 ? " \\" : "")
    ),
  ];
}

/** Wraps text to lines of at most `columns` characters. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((line) => line.replaceAll(NO_BREAK, " "));
}

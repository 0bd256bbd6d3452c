/** Help: texts made of the table of commands, 80 columns wide, and the command that prints them. */

import { type Command } from "./command.ts";
import { CLI_COMMAND } from "../../settings/flags.ts";
import { nearest } from "../../core/nearest.ts";
import { type Paint, painter, PLAIN_PAINT } from "../output/terminal.ts";
import { printText } from "../output/print.ts";
import { type FlagSpec, usageError } from "../../settings/flags.ts";

const COLUMNS = 80;

/** A space at which no line is broken. */
const NO_BREAK = "\u00a0";

/** Where the text beside a flag begins. */
const FLAG_COLUMNS = 24;

/** The command that prints help. */
export function helpCommand(commands: () => readonly Command[]): Command {
  return {
    name: "help",
    summary: "Tells what there is, or all of one command",
    positional: "[COMMAND]",
    get words() {
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

/** @throws InferenceError `usage` with what may have been meant. */
export function findCommand(commands: readonly Command[], name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found) return found;
  const guess = nearest(name, commands.map((command) => command.name));
  throw usageError(
    `Cannot run "${name}": no such command${guess ? `, did you mean "${guess}"?` : ""}`,
  );
}

/** What `help` prints. */
export function mainHelp(commands: readonly Command[], paint: Paint = PLAIN_PAINT): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "Runs RWKV-5 language models, and keeps conversations by their state id.",
    "",
    `${paint("bold", "Usage:")} ${CLI_COMMAND} COMMAND [FLAGS]`,
    "",
    paint("bold", "Commands:"),
    ...commands.flatMap(({ name, summary }) => row(name, summary, width + 4)),
    "",
    paint("bold", "Examples:"),
    ...["serve", "chat", "generate --prompt 'User: Tell me a story.'"].flatMap(exampleLines),
    "",
    `\`${CLI_COMMAND} help COMMAND\` tells a command's flags.`,
    "Exit status: 0 done, 1 failed, 2 wrong usage.",
  ].join("\n");
}

/** What `help COMMAND` and `COMMAND --help` print. */
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

function flagUsage(flag: string, { value }: FlagSpec): string {
  return `--${flag}${value ? ` ${value}` : ""}`;
}

function flagText({ help, defaultValue, defaultText, env }: FlagSpec): string {
  const fallback = defaultText ?? defaultValue;
  return `${help}${fallback !== undefined ? ` [default:${NO_BREAK}${fallback}]` : ""}` +
    (env ? ` [env:${NO_BREAK}${env}]` : "");
}

/** A name, and text beside it from a column on; below it where the name is too long. */
function row(name: string, text: string, column: number): string[] {
  const lines = wrap(text, COLUMNS - column).map((line) => " ".repeat(column) + line);
  const head = `  ${name}`;
  if (head.length + 2 > column) return [head, ...lines];
  return [head + lines[0].slice(head.length), ...lines.slice(1)];
}

/** An example as it can be pasted, on several lines where it is long. */
function exampleLines(example: string): string[] {
  const [line, comment] = example.split(/ +# /);
  const whole = /\brwkv /.test(line)
    ? line.replace(/\brwkv /, `${CLI_COMMAND} `)
    : `${CLI_COMMAND} ${line}`;
  const lines = [""];
  // A flag and its value stay together.
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

/** Lines of whole words, of at most so many columns. */
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

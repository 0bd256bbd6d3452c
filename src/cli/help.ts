/** Help texts of the command line, and the nearest match to a misspelt word. */

import type { Command, FlagSpec } from "./command.ts";

const RUN = "deno task rwkv";

/** What `help` prints. */
export function mainHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "Runs RWKV-5 language models, and keeps conversations by their state id.",
    "",
    `Usage: ${RUN} COMMAND [FLAGS]`,
    "",
    "Commands:",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    `Run \`${RUN} COMMAND --help\` for a command's flags.`,
    "",
    "Exit status: 0 done, 1 failed, 2 wrong usage.",
  ].join("\n");
}

/** What `COMMAND --help` prints. */
export function commandHelp({ name, summary, examples, positional, flags }: Command): string {
  const rows = Object.entries(flags).map(([flag, spec]) => [flagUsage(flag, spec), spec] as const);
  const width = Math.max(...rows.map(([usage]) => usage.length));
  return [
    `${summary}.`,
    "",
    `Usage: ${RUN} ${name}${positional ? ` ${positional}` : ""} [FLAGS]`,
    "",
    "Flags:",
    ...rows.map(([usage, { help, env }]) =>
      `  ${usage.padEnd(width)}  ${help}${env ? ` [${env}]` : ""}`
    ),
    "",
    "Examples:",
    ...examples.map((example) => `  ${RUN} ${example}`),
  ].join("\n");
}

function flagUsage(flag: string, { value }: FlagSpec): string {
  return `--${flag}${value ? ` ${value}` : ""}`;
}

/** The word that differs from `word` in the fewest letters, if in at most three. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const ranked = words.map((w) => ({ w, d: distance(word, w) })).sort((a, b) => a.d - b.d);
  return ranked[0] && ranked[0].d <= 3 ? ranked[0].w : undefined;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}

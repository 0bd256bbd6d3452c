/**
 * Shell scripts that complete the word `rwkv`. All candidates are part of the script, so that
 * completion does not start a process.
 */

import type { Command } from "./command.ts";
import type { FlagSpec } from "../../settings/flags.ts";

/** Candidates for a flag's value: words, files, or none. */
type Values = readonly string[] | "file" | "unknown";

function valuesOf({ placeholder = "" }: FlagSpec): Values {
  if (/^[a-z0-9.]+(\|[a-z0-9.]+)+$/.test(placeholder)) return placeholder.split("|");
  return /\b(FILE|PATH)\b/.test(placeholder) ? "file" : "unknown";
}

function takesValue([, { type }]: [string, FlagSpec]): boolean {
  return type === "string";
}

function flagsOf({ flags }: Command): [string, FlagSpec][] {
  return Object.entries(flags);
}

export function bashScript(commands: readonly Command[]): string {
  const compgen = (values: Values) => {
    if (values === "file") return 'COMPREPLY=($(compgen -f -- "$cur"))';
    return values === "unknown" ? ":" : `COMPREPLY=($(compgen -W "${values.join(" ")}" -- "$cur"))`;
  };
  const ofCommand = (command: Command) => {
    const values = flagsOf(command).filter(takesValue).map(([flag, spec]) =>
      `        --${flag}) ${compgen(valuesOf(spec))}; return ;;`
    );
    const flags = [...Object.keys(command.flags), "help"].map((flag) => `--${flag}`);
    const first = command.positionalChoices ? compgen(command.positionalChoices) : compgen("file");
    return [
      `    ${command.name})`,
      ...values.length > 0 ? ['      case "$prev" in', ...values, "      esac"] : [],
      '      if [[ "$cur" == -* ]]; then',
      `        ${compgen(flags)}`,
      ...command.positional ? [`      elif [[ $word -eq 2 ]]; then ${first}`] : [],
      ...command.positional && !command.positionalChoices
        ? [`      else ${compgen("file")}`]
        : command.positionalChoices && /FILE|\.\.\./.test(command.positional ?? "")
        ? [`      else ${compgen("file")}`]
        : [],
      "      fi ;;",
    ].join("\n");
  };
  return `# bash completions of rwkv
_rwkv() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" word=$COMP_CWORD
  # bash splits --flag=value into three words.
  if [[ "$prev" == "=" ]]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  if [[ "$cur" == "=" ]]; then cur=""; fi
  COMPREPLY=()
  if [[ $word -eq 1 ]]; then
    ${compgen([...commands.map(({ name }) => name), "--help"])}
    return
  fi
  case "\${COMP_WORDS[1]}" in
${commands.map(ofCommand).join("\n")}
  esac
}
complete -o filenames -F _rwkv rwkv
`;
}

export function zshScript(commands: readonly Command[]): string {
  // Escapes brackets and colons, which `_arguments` and `_describe` interpret, for single quotes.
  const plain = (text: string) => text.replace(/[[\]:\\]/g, "\\$&").replaceAll("'", "'\\''");
  const action = (values: Values) => {
    if (values === "file") return "_files";
    return values === "unknown" ? " " : `(${values.join(" ")})`;
  };
  const ofCommand = (command: Command) => {
    const flags = flagsOf(command).map(([flag, spec]) =>
      takesValue([flag, spec])
        ? `'--${flag}=[${plain(spec.help)}]:${plain(spec.placeholder ?? "value")}:${
          action(valuesOf(spec))
        }'`
        : `'--${flag}[${plain(spec.help)}]'`
    );
    const rest = command.positional
      ? [`'1: :${action(command.positionalChoices ?? "file")}'`, "'*: :_files'"]
      : [];
    return `    ${command.name})
      _arguments ${
      ["'--help[show the help of this command]'", ...flags, ...rest].join(" \\\n        ")
    } ;;`;
  };
  return `#compdef rwkv
# zsh completions of rwkv
_rwkv() {
  local -a commands=(
${commands.map(({ name, summary }) => `    '${name}:${plain(summary)}'`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${commands.map(ofCommand).join("\n")}
  esac
}
if [[ $funcstack[1] == _rwkv ]]; then _rwkv "$@"; else compdef _rwkv rwkv; fi
`;
}

export function fishScript(commands: readonly Command[]): string {
  const quoted = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
  const when = (name: string) => `-n '__fish_seen_subcommand_from ${name}'`;
  const ofCommand = (command: Command) => {
    const values = (spec: FlagSpec) => {
      const values = valuesOf(spec);
      if (values === "file") return "-r -F ";
      return values === "unknown" ? "-x " : `-x -a '${values.join(" ")}' `;
    };
    const { name, positionalChoices: words, positional } = command;
    return [
      ...flagsOf(command).map(([flag, spec]) =>
        `complete -c rwkv ${when(name)} -l ${flag} ` +
        `${takesValue([flag, spec]) ? values(spec) : ""}-d ${quoted(spec.help)}`
      ),
      ...words ? [`complete -c rwkv ${when(name)} -a '${words.join(" ")}'`] : [],
      ...positional && (!words || positional.includes("FILE"))
        ? [`complete -c rwkv ${when(name)} -F`]
        : [],
    ];
  };
  return [
    "# fish completions of rwkv",
    "complete -c rwkv -f",
    "complete -c rwkv -l help -d 'show help'",
    ...commands.map(({ name, summary }) =>
      `complete -c rwkv -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`
    ),
    ...commands.flatMap(ofCommand),
    "",
  ].join("\n");
}

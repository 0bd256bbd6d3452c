/** What a command is, and the flags that several commands share. */

import type { SamplingParams } from "../../core/sampling.ts";
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
} from "../../core/sampling_parameters.ts";
import { type Flags, type FlagSpec, number } from "../../settings/flags.ts";

/** One entry of the table that help, parsing and completions are made of. */
export interface Command {
  name: string;
  summary: string;
  /** More than the summary says, in paragraphs. */
  details?: readonly string[];
  /**
   * Example command lines, without `deno task rwkv`; where something comes before it, as
   * `echo Hi | rwkv generate`, `rwkv` stands for it. What follows a `#` is a comment.
   */
  examples: readonly string[];
  /** Positional arguments, in usage form. */
  positional?: string;
  /** What the first positional argument may be, for completions; a file, unless told. */
  words?: readonly string[];
  flags: Readonly<Record<string, FlagSpec>>;
  run: (flags: Flags, positionals: readonly string[]) => Promise<void>;
}

/** Flags of every command that samples. */
export const SAMPLING_FLAGS = {
  "max-tokens": {
    type: "string",
    value: "N",
    help: "tokens to write at most",
    defaultValue: "256",
  },
  ...parameterFlags(),
  seed: {
    type: "string",
    value: "S",
    help: "the same seed gives the same text",
    defaultText: "random",
  },
} satisfies Record<string, FlagSpec>;

/** Returns a flag for each sampling parameter that has one, such as `--top-p` for `top_p`. */
function parameterFlags(): Record<string, FlagSpec> {
  return Object.fromEntries(
    SAMPLING_PARAMETER_NAMES.flatMap((name) => {
      const { flag, min, max, integer = false }: SamplingParameter = SAMPLING_PARAMETERS[name];
      if (!flag) return [];
      const { placeholder, help, defaultValue } = flag;
      const range = { min, max, integer };
      return [[flagOf(name), { type: "string", value: placeholder, help, defaultValue, range }]];
    }),
  );
}

/**
 * Returns the sampling parameters that flags give, with the defaults of the command line.
 *
 * @throws InferenceError `usage` that names the flag, its value and the range.
 */
export function parametersOf(flags: Flags): Partial<SamplingParams> {
  return Object.fromEntries(
    SAMPLING_PARAMETER_NAMES.flatMap((name) => {
      const { key, flag, min, max, integer = false }: SamplingParameter = SAMPLING_PARAMETERS[name];
      if (!flag) return [];
      return [[key, number(flags, flagOf(name), { min, max, integer }) ?? flag.defaultValue]];
    }),
  );
}

function flagOf(name: string): string {
  return name.replaceAll("_", "-");
}

export const JSON_FLAG = {
  json: { type: "boolean", help: "print one JSON document on stdout and nothing else" },
} as const satisfies Record<string, FlagSpec>;

/** The definition of a command, and the flags that several commands share. */

import type { SamplingParams } from "../../core/sampling.ts";
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
} from "../../core/sampling_parameters.ts";
import { type Flags, type FlagSpec, numberFlag } from "../../settings/flags.ts";

/** An entry of the table from which help, parsing and completions are built. */
export interface Command {
  name: string;
  summary: string;
  /** Paragraphs of help after the summary. */
  details?: readonly string[];
  /**
   * Example command lines without `deno task rwkv`. In an example that starts with another program,
   * such as `echo Hi | rwkv generate`, `rwkv` stands for it. Text after `#` is a comment.
   */
  examples: readonly string[];
  /** Usage of the positional arguments. */
  positional?: string;
  /** Completions of the first positional argument. Defaults to files. */
  positionalChoices?: readonly string[];
  flags: Readonly<Record<string, FlagSpec>>;
  run: (flags: Flags, positionals: readonly string[]) => Promise<void>;
}

/** Flags of every command that samples. */
export const SAMPLING_FLAGS = {
  "max-tokens": {
    type: "string",
    placeholder: "N",
    help: "maximum tokens to generate",
    defaultValue: "256",
  },
  ...parameterFlags(),
  seed: {
    type: "string",
    placeholder: "S",
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
      const spec: FlagSpec = { ...flag, type: "string", range: { min, max, integer } };
      return [[flagOf(name), spec]];
    }),
  );
}

/**
 * Returns the sampling parameters in flags, with the defaults of the command line.
 *
 * @throws InferenceError `usage` with the flag, the value and the valid range.
 */
export function samplingParameters(flags: Flags): Partial<SamplingParams> {
  return Object.fromEntries(
    SAMPLING_PARAMETER_NAMES.flatMap((name) => {
      const { key, flag, min, max, integer = false }: SamplingParameter = SAMPLING_PARAMETERS[name];
      if (!flag) return [];
      return [[key, numberFlag(flags, flagOf(name), { min, max, integer }) ?? flag.defaultValue]];
    }),
  );
}

function flagOf(name: string): string {
  return name.replaceAll("_", "-");
}

export const JSON_FLAG = {
  json: { type: "boolean", help: "print one JSON document on stdout and nothing else" },
} as const satisfies Record<string, FlagSpec>;

/** What a command is, and the flags that several commands share. */

import type { Flags, FlagSpec } from "../../settings/flags.ts";

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
  temperature: {
    type: "string",
    value: "T",
    help: "0 always takes the likeliest token",
    defaultValue: "1",
  },
  "top-p": {
    type: "string",
    value: "P",
    help: "sample from the likeliest tokens of this mass",
    defaultValue: "0.5",
  },
  seed: {
    type: "string",
    value: "S",
    help: "the same seed gives the same text",
    defaultText: "random",
  },
} as const satisfies Record<string, FlagSpec>;

export const JSON_FLAG = {
  json: { type: "boolean", help: "print one JSON document on stdout and nothing else" },
} as const satisfies Record<string, FlagSpec>;

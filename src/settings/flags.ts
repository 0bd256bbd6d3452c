/** Declares command-line flags and reads their values. */

import { InferenceError } from "../core/errors.ts";

/** The command line as shown in messages. */
export const CLI_COMMAND = "deno task rwkv";

/** Values of flags: strings, or `true` for flags that take no value. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** The range of a number. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

/** Declares a flag. Help, parsing, completions and the configuration page read this. */
export interface FlagSpec {
  readonly type: "string" | "boolean";
  /**
   * Placeholder of the value in help, such as `FILE`. Completions offer the choices of
   * `auto|webgpu|cpu`, and files for `PATH` and `FILE`.
   */
  readonly placeholder?: string;
  readonly help: string;
  /** The value if the flag is missing. */
  readonly defaultValue?: string | number;
  /** Text for the default in help, if `defaultValue` is not descriptive or does not exist. */
  readonly defaultText?: string;
  /** Environment variable to read if the flag is missing. */
  readonly env?: string;
  /** The range of a numeric value. */
  readonly range?: NumberRange;
}

/** Creates an error for wrong usage, which exits with status 2. */
export function usageError(message: string): InferenceError {
  return new InferenceError("usage", message);
}

/** Returns the string of a flag, or `undefined` if it is missing. */
export function stringFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/**
 * Returns the number of a flag, or `undefined` if it is missing.
 *
 * @throws InferenceError `usage` with the flag, the value and the valid range.
 */
export function numberFlag(
  flags: Flags,
  name: string,
  { min, max, integer = false }: NumberRange,
): number | undefined {
  const value = stringFlag(flags, name);
  if (value === undefined) return undefined;
  const parsed = value.trim() === "" ? NaN : Number(value);
  if (!(parsed >= min && parsed <= max) || (integer && !Number.isInteger(parsed))) {
    const kind = integer ? "a whole number" : "a number";
    throw usageError(`Cannot use --${name} ${value}: it must be ${kind} from ${min} to ${max}`);
  }
  return parsed;
}

/**
 * Returns the value of a flag that takes one of several words.
 *
 * @throws InferenceError `usage` if the value is not one of `choices`.
 */
export function choiceFlag<T extends string>(
  flags: Flags,
  name: string,
  { choices, fallback }: { choices: readonly T[]; fallback: T },
): T {
  const value = stringFlag(flags, name) ?? fallback;
  if (!(choices as readonly string[]).includes(value)) {
    throw usageError(`Cannot use --${name} ${value}: it must be one of ${choices.join(", ")}`);
  }
  return value as T;
}

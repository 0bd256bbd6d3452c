/** Flags: how they are declared, and how their values are read. */

import { InferenceError } from "../core/errors.ts";

/** The command that starts the command line, as messages show it. */
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
  readonly value?: string;
  readonly help: string;
  /** The value that applies if the flag is not given. */
  readonly defaultValue?: string | number;
  /** Describes the default in help where `defaultValue` alone does not explain it. */
  readonly defaultText?: string;
  /** Environment variable that is read if the flag is not given. */
  readonly env?: string;
  /** The range of a numeric value. */
  readonly range?: NumberRange;
}

/** Returns an error for wrong usage, which the command line answers with exit status 2. */
export function usageError(message: string): InferenceError {
  return new InferenceError("usage", message);
}

/** Returns the text of a flag, or `undefined` if it is not given. */
export function text(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/**
 * Returns the number of a flag, or `undefined` if it is not given.
 *
 * @throws InferenceError `usage` that names the flag, its value and the range.
 */
export function number(
  flags: Flags,
  name: string,
  { min, max, integer = false }: NumberRange,
): number | undefined {
  const value = text(flags, name);
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
export function choice<T extends string>(
  flags: Flags,
  name: string,
  { choices, fallback }: { choices: readonly T[]; fallback: T },
): T {
  const value = text(flags, name) ?? fallback;
  if (!(choices as readonly string[]).includes(value)) {
    throw usageError(`Cannot use --${name} ${value}: it must be one of ${choices.join(", ")}`);
  }
  return value as T;
}

/** What a command is, and the flags that several commands share. */

import { InferenceError } from "../../core/errors.ts";
import { type Shape, SHAPES } from "../../model/shapes.ts";
import { parseQuant, type Quant } from "../../quant/mod.ts";

/** What computes. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** Values of a command's flags: strings, or true for those without a value. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** A flag: what help, parsing and completions make of it. */
export interface FlagSpec {
  type: "string" | "boolean";
  /**
   * What stands for the value in help, as `FILE`; choices, as `auto|webgpu|cpu`, are completed, and
   * so are files for a `PATH` or `FILE`.
   */
  value?: string;
  help: string;
  /** What holds unless the flag is given, for help: `default` would be the value for `parseArgs`. */
  otherwise?: string;
  /** Environment variable that stands in where the flag is not given. */
  env?: string;
}

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

/** Wrong usage: exit status 2. */
export function usageError(message: string): InferenceError {
  return new InferenceError("usage", message);
}

/** Flags of every command that opens a model. */
export const MODEL_FLAGS = {
  model: {
    type: "string",
    value: "PATH|NAME",
    env: "RWKV_MODEL",
    help: "a checkpoint or converted file, an index of shards, a folder, or a pulled model",
    otherwise: "the demo model",
  },
  shape: {
    type: "string",
    value: SHAPES.join("|"),
    help: "instead: random weights of a published size, to measure with",
  },
  vocab: {
    type: "string",
    value: "FILE",
    env: "RWKV_VOCAB",
    help: "vocabulary file, or the word bytes",
    otherwise: "the one beside the model",
  },
  device: {
    type: "string",
    value: "auto|webgpu|cpu",
    env: "RWKV_DEVICE",
    help: "the engine; auto is WebGPU on a hardware adapter, else the CPU engine",
    otherwise: "auto",
  },
  quant: {
    type: "string",
    value: "none|f16|int8|nf4",
    env: "RWKV_QUANT",
    help: "how matrices are held: float32, float16, 8 or 4 bits; with exceptions, nf4,head=int8",
    otherwise: "a converted file's own, else f16",
  },
  "group-norm-eps": {
    type: "string",
    value: "X",
    help: "epsilon of the group norm",
    otherwise: "config.json's, else 64e-5",
  },
} as const satisfies Record<string, FlagSpec>;

/** The flag of commands that may download the model that `--model` names. */
export const PULL_FLAG = {
  pull: {
    type: "boolean",
    env: "RWKV_PULL",
    help: "download the model that --model names first, if it has not been pulled",
  },
} as const satisfies Record<string, FlagSpec>;

/** The flag of commands that use the tuning cache. */
export const TUNE_FLAG = {
  "no-tune": {
    type: "boolean",
    help: "use the built-in kernel sizes; neither tune nor read the cache in data/tuning",
  },
} as const satisfies Record<string, FlagSpec>;

/** Flags of every command that samples. */
export const SAMPLING_FLAGS = {
  "max-tokens": { type: "string", value: "N", help: "tokens to write at most", otherwise: "256" },
  temperature: {
    type: "string",
    value: "T",
    help: "0 always takes the likeliest token",
    otherwise: "1",
  },
  "top-p": {
    type: "string",
    value: "P",
    help: "sample from the likeliest tokens of this mass",
    otherwise: "0.5",
  },
  seed: {
    type: "string",
    value: "S",
    help: "the same seed gives the same text",
    otherwise: "random",
  },
} as const satisfies Record<string, FlagSpec>;

export const JSON_FLAG = {
  json: { type: "boolean", help: "print one JSON document on stdout and nothing else" },
} as const satisfies Record<string, FlagSpec>;

/** A flag's text, or undefined. */
export function text(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/**
 * A flag's number, or undefined.
 *
 * @throws InferenceError `usage` naming flag, value and range.
 */
export function number(
  flags: Flags,
  name: string,
  { min, max, integer = false }: { min: number; max: number; integer?: boolean },
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

/** @throws InferenceError `usage` if the flag's value is none of `choices`. */
export function choice<T extends string>(
  flags: Flags,
  name: string,
  { choices, otherwise }: { choices: readonly T[]; otherwise: T },
): T {
  const value = text(flags, name) ?? otherwise;
  if (!(choices as readonly string[]).includes(value)) {
    throw usageError(`Cannot use --${name} ${value}: it must be one of ${choices.join(", ")}`);
  }
  return value as T;
}

/** `--device` and, if it is given, `--quant`. */
export function engineFlags(flags: Flags): { device: DeviceChoice; quant: Quant | undefined } {
  return {
    device: choice(flags, "device", { choices: ["auto", "webgpu", "cpu"], otherwise: "auto" }),
    quant: quantFlag(flags, "quant"),
  };
}

/** A flag's policy, or undefined. */
export function quantFlag(flags: Flags, name: string): Quant | undefined {
  const value = text(flags, name);
  if (value === undefined) return undefined;
  try {
    return parseQuant(value);
  } catch (error) {
    throw usageError(`Cannot use --${name}: ${(error as Error).message}`);
  }
}

/** `--shape`, or undefined. */
export function shapeFlag(flags: Flags): Shape | undefined {
  if (text(flags, "shape") === undefined) return undefined;
  return choice(flags, "shape", { choices: SHAPES, otherwise: SHAPES[0] });
}

/** Prints the one JSON document of a command. */
export async function printJson(value: unknown): Promise<void> {
  await printText(`${JSON.stringify(value)}\n`);
}

/** Writes to stdout, all of it. */
export async function printText(value: string): Promise<void> {
  const bytes = new TextEncoder().encode(value);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

/** All of stdin. */
export async function readStdin(): Promise<Uint8Array> {
  return await new Response(Deno.stdin.readable).bytes();
}

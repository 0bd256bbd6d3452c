/** What a command is, and the flags that several commands share. */

import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { InferenceError } from "../core/errors.ts";
import { type Shape, SHAPES } from "../model/shapes.ts";
import { parseQuant, type Quant } from "../quant/mod.ts";

/** What computes. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** Values of a command's flags: strings, or true for those without a value. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** A flag, as `parseArgs` wants it, with its line of help. */
export type FlagSpec = ParseArgsOptionsConfig[string] & {
  /** What stands for the value in help, as `FILE`. */
  value?: string;
  help: string;
  /** Environment variable that stands in where the flag is not given. */
  env?: string;
};

export interface Command {
  name: string;
  summary: string;
  /** Example command lines, without `deno task rwkv`. */
  examples: readonly string[];
  /** Positional arguments, in usage form. */
  positional?: string;
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
    help: "a .pth, .safetensors or converted file, a folder with one, or the name of a pulled " +
      "model; the demo model unless given",
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
    help: "vocabulary file, or the word bytes; the one beside the model unless given",
  },
  device: {
    type: "string",
    value: "auto|webgpu|cpu",
    env: "RWKV_DEVICE",
    help: "what computes; auto is WebGPU where there is an adapter, else the CPU",
  },
  quant: {
    type: "string",
    value: "none|f16|int8|nf4",
    env: "RWKV_QUANT",
    help: "how matrices are held: float32, float16 (the default), 8 or 4 bits; with exceptions, " +
      "nf4,head=int8; a converted file's own unless given",
  },
  "group-norm-eps": {
    type: "string",
    value: "X",
    help: "epsilon of the group norm; config.json's, else 64e-5, unless given",
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

/** The flag of commands whose speed counts. */
export const TUNE_FLAG = {
  "no-tune": {
    type: "boolean",
    help: "use fixed kernels; else they are tuned for this adapter once (data/tuning)",
  },
} as const satisfies Record<string, FlagSpec>;

/** Flags of every command that samples. */
export const SAMPLING_FLAGS = {
  "max-tokens": { type: "string", value: "N", help: "tokens to write at most (256)" },
  temperature: { type: "string", value: "T", help: "0 always takes the likeliest token (1)" },
  "top-p": {
    type: "string",
    value: "P",
    help: "sample from the likeliest tokens of this mass (0.5)",
  },
  seed: { type: "string", value: "S", help: "the same seed gives the same text (random)" },
} as const satisfies Record<string, FlagSpec>;

export const JSON_FLAG = {
  json: { type: "boolean", help: "print one JSON document on stdout and nothing else" },
} as const satisfies Record<string, FlagSpec>;

/**
 * Parses a command's arguments; flags not given are taken from their environment variables.
 *
 * @throws InferenceError `usage`.
 */
export function parseFlags(
  command: Command,
  args: string[],
  env: (name: string) => string | undefined,
): { flags: Flags; positionals: string[] } {
  let parsed;
  try {
    parsed = parseArgs({
      args: joinNegatives(args),
      options: { ...command.flags, help: { type: "boolean", short: "h" } },
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    throw usageError((error as Error).message.split(/\. To specify|\n/)[0]);
  }
  if (!command.positional && parsed.positionals.length > 0) {
    throw usageError(`Cannot use "${parsed.positionals[0]}": ${command.name} takes flags only`);
  }
  const flags: Record<string, string | boolean | undefined> = {};
  for (const [name, value] of Object.entries(parsed.values)) {
    flags[name] = value as string | boolean;
  }
  for (const [name, spec] of Object.entries(command.flags)) {
    if (flags[name] === undefined && spec.env) flags[name] = env(spec.env) || undefined;
  }
  return { flags, positionals: parsed.positionals };
}

/** `--flag -1` as `--flag=-1`: `parseArgs` takes a value with a dash for another flag. */
function joinNegatives(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const last = joined.at(-1);
    if (/^-[\d.]/.test(arg) && last && /^--[\w-]+$/.test(last)) {
      joined.push(`${joined.pop()}=${arg}`);
    } else joined.push(arg);
  }
  return joined;
}

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

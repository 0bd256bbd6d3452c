/** Parses the arguments of a command according to its flag table. */

import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { nearest } from "../core/nearest.ts";
import { type Flags, type FlagSpec, usageError } from "./flags.ts";

/** The part of a command that parsing needs. */
export interface FlagTable {
  readonly name: string;
  readonly flags: Readonly<Record<string, FlagSpec>>;
  /** Positional arguments in usage form, if the command takes any. */
  readonly positional?: string;
}

/** Parsed arguments. */
export interface ParsedArguments {
  flags: Flags;
  positionals: string[];
}

/**
 * Parses a command's arguments. Missing flags are read from their environment variables.
 *
 * @throws InferenceError `usage`.
 */
export function parseFlags(
  command: FlagTable,
  args: string[],
  env: (name: string) => string | undefined,
): ParsedArguments {
  const { flags: specs, positional } = command;
  const flags: Record<string, string | boolean | undefined> = {};
  const positionals: string[] = [];
  const options: ParseArgsOptionsConfig = {};
  for (const [name, { type }] of Object.entries(specs)) options[name] = { type };
  // The messages of the strict mode suggest neither a remedy nor a similar flag.
  const { tokens } = parseArgs({ args, options, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (!positional) {
        throw usageError(`Cannot use "${token.value}": ${command.name} takes flags only`);
      }
      positionals.push(token.value);
    } else if (token.kind === "option") {
      const { name, rawName, value, inlineValue } = token;
      const spec = Object.hasOwn(specs, name) && rawName === `--${name}` ? specs[name] : undefined;
      if (spec === undefined) throw noSuchFlag(command, rawName);
      flags[name] = valueOf(spec, { rawName, value, inlineValue: inlineValue ?? false });
    }
  }
  for (const [name, spec] of Object.entries(specs)) {
    if (flags[name] === undefined && spec.env) flags[name] = fromEnv(spec, env(spec.env));
  }
  return { flags, positionals };
}

/**
 * Returns the value of a variable. An empty variable counts as unset, and so does a boolean one
 * that is `0`, `false`, `no` or `off`.
 */
function fromEnv({ type }: FlagSpec, value: string | undefined): string | boolean | undefined {
  if (!value) return undefined;
  if (type === "string") return value;
  return /^(0|false|no|off)$/i.test(value) ? undefined : true;
}

function valueOf(
  spec: FlagSpec,
  { rawName, value, inlineValue }: {
    rawName: string;
    value: string | undefined;
    inlineValue: boolean;
  },
): string | boolean {
  if (spec.type === "boolean") {
    if (value === undefined) return true;
    throw usageError(`Cannot use ${rawName}=${value}: ${rawName} takes no value`);
  }
  if (value === undefined) {
    throw usageError(
      `Cannot use ${rawName}: its value is missing; use ${rawName} ${spec.placeholder ?? "VALUE"}`,
    );
  }
  // `-1` is a number and `-` is stdin, but in `--port --host x` the value is missing.
  if (!inlineValue && /^-[^\d.]/.test(value)) {
    throw usageError(
      `Cannot use ${rawName} ${value}: the value looks like a flag; use ${rawName}=${value}`,
    );
  }
  return value;
}

function noSuchFlag({ name, flags }: FlagTable, rawName: string) {
  const guess = nearest(rawName.replace(/^-+/, ""), Object.keys(flags));
  const meant = guess ? `, did you mean "--${guess}"?` : "";
  return usageError(`Cannot run ${name}: no such flag "${rawName}"${meant}`);
}

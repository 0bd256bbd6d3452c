/** Reads the settings of model and device. */

import { MODEL_SIZES, type ModelSize } from "../model/architectures/registry.ts";
import { parseQuant, type Quant } from "../quant/mod.ts";
import { choice, type Flags, text, usageError } from "./flags.ts";

/** The engine to use. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** Returns `--device` and, if it is given, `--quant`. */
export function engineFlags(flags: Flags): { device: DeviceChoice; quant: Quant | undefined } {
  return {
    device: choice(flags, "device", { choices: ["auto", "webgpu", "cpu"], fallback: "auto" }),
    quant: quantFlag(flags, "quant"),
  };
}

/** Returns the weight types that a flag names, or `undefined` if it is not given. */
export function quantFlag(flags: Flags, name: string): Quant | undefined {
  const value = text(flags, name);
  if (value === undefined) return undefined;
  try {
    return parseQuant(value);
  } catch (error) {
    throw usageError(`Cannot use --${name}: ${(error as Error).message}`);
  }
}

/** Returns `--shape`, or `undefined` if it is not given. */
export function shapeFlag(flags: Flags): ModelSize | undefined {
  if (text(flags, "shape") === undefined) return undefined;
  return choice(flags, "shape", { choices: MODEL_SIZES, fallback: MODEL_SIZES[0] });
}

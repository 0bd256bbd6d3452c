/** Reads the settings of the model and the device. */

import { MODEL_SIZES, type ModelSize } from "../model/architectures/registry.ts";
import { parseQuant, type Quant } from "../quant/mod.ts";
import { choiceFlag, type Flags, stringFlag, usageError } from "./flags.ts";

/** The engine to use. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** Returns `--device` and, if given, `--quant`. */
export function engineFlags(flags: Flags): { device: DeviceChoice; quant: Quant | undefined } {
  return {
    device: choiceFlag(flags, "device", { choices: ["auto", "webgpu", "cpu"], fallback: "auto" }),
    quant: quantFlag(flags, "quant"),
  };
}

/** Returns the quantization in a flag, or `undefined` if it is missing. */
export function quantFlag(flags: Flags, name: string): Quant | undefined {
  const value = stringFlag(flags, name);
  if (value === undefined) return undefined;
  try {
    return parseQuant(value);
  } catch (error) {
    throw usageError(`${(error as Error).message} (--${name})`);
  }
}

/** Returns `--shape`, or `undefined` if it is missing. */
export function shapeFlag(flags: Flags): ModelSize | undefined {
  if (stringFlag(flags, "shape") === undefined) return undefined;
  return choiceFlag(flags, "shape", { choices: MODEL_SIZES, fallback: MODEL_SIZES[0] });
}

/**
 * The quantization policy: the weight type of each matrix. A policy is a type, `int8`, or a type with
 * exceptions, `nf4,head=int8,att.value=f16`. An exception names consecutive segments of a published
 * tensor name (`blocks.0.att.value.weight`). The last matching exception applies.
 */

import { QUANTIZED_LAYOUTS, type QuantizedType, type WeightType } from "../../kernels/layouts.ts";
import { InferenceError } from "../core/errors.ts";

/** Name of a weight type: float32 (`none`), float16, or 8-bit or 4-bit codes with scales. */
export type QuantName = "none" | Exclude<WeightType, "f32">;

/** A policy as text. */
export type Quant = QuantName | `${QuantName},${string}`;

/** All names, from the widest to the narrowest type. */
export const QUANT_NAMES: readonly QuantName[] = [
  "none",
  "f16",
  ...Object.keys(QUANTIZED_LAYOUTS) as QuantizedType[],
];

interface Exception {
  part: string;
  type: WeightType;
}

/**
 * Returns the weight type of each matrix.
 *
 * @param matrices Published names.
 * @throws InferenceError `invalid_value` for an unknown type, or an exception that matches no matrix.
 */
export function assignTypes(
  policy: Quant,
  matrices: readonly string[],
): ReadonlyMap<string, WeightType> {
  const { type, exceptions } = parse(policy);
  const matches = (name: string, { part }: Exception) => `.${name}.`.includes(`.${part}.`);
  for (const exception of exceptions) {
    if (matrices.some((name) => matches(name, exception))) continue;
    throw policyError(
      policy,
      `"${exception.part}" matches no matrix; examples are emb, head, att.key, ` +
        "ffn.value, blocks.0",
    );
  }
  return new Map(matrices.map((name) => {
    return [name, exceptions.findLast((exception) => matches(name, exception))?.type ?? type];
  }));
}

/**
 * Validates a policy.
 *
 * @throws InferenceError `invalid_value` with the invalid part and the valid ones.
 */
export function parseQuant(text: string): Quant {
  parse(text);
  return text as Quant;
}

/** Returns the name of a weight type. */
export function quantName(type: WeightType): QuantName {
  return type === "f32" ? "none" : type;
}

function parse(text: string): { type: WeightType; exceptions: Exception[] } {
  const [base, ...rest] = text.split(",");
  const type = typeNamed(base, text);
  const exceptions = rest.map((exception) => {
    const [part, word, ...more] = exception.split("=");
    if (!/^[\w.]+$/.test(part) || word === undefined || more.length > 0) {
      throw policyError(
        text,
        `"${exception}" is not an exception such as head=int8 or blocks.0.att.value=f16`,
      );
    }
    return { part, type: typeNamed(word, text) };
  });
  return { type, exceptions };
}

function typeNamed(word: string, text: string): WeightType {
  const name = QUANT_NAMES.find((candidate) => candidate === word);
  if (name === undefined) {
    throw policyError(text, `"${word}" is not one of ${QUANT_NAMES.join(", ")}`);
  }
  return name === "none" ? "f32" : name;
}

function policyError(text: string, problem: string): InferenceError {
  return new InferenceError("invalid_value", `Cannot use quantization "${text}": ${problem}`, {
    param: "quant",
  });
}

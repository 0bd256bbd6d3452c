/**
 * Which matrix is held as what. Written as one word, `int8`, or as a word and exceptions,
 * `nf4,head=int8,att.value=f16`: an exception names one or more consecutive parts of a tensor's
 * published name (`blocks.0.att.value.weight`), and the last one that fits counts.
 */

import type { WeightType } from "../../kernels/layouts.ts";
import { InferenceError } from "../core/errors.ts";

/** How matrices are held: as float32, float16, 8-bit or 4-bit codes with scales. */
export type QuantName = "none" | "f16" | "int8" | "nf4";

/** A policy as it is written. */
export type Quant = QuantName | `${QuantName},${string}`;

/** From the widest to the narrowest. */
export const QUANT_NAMES: readonly QuantName[] = ["none", "f16", "int8", "nf4"];

const TYPES: Record<QuantName, WeightType> = { none: "f32", f16: "f16", int8: "int8", nf4: "nf4" };

interface Exception {
  part: string;
  type: WeightType;
}

/**
 * What each matrix is to be held as.
 *
 * @param matrices Published names.
 * @throws InferenceError `invalid_value` naming what is no word for a type, or no part of any name.
 */
export function assignTypes(
  policy: Quant,
  matrices: readonly string[],
): ReadonlyMap<string, WeightType> {
  const { type, exceptions } = parse(policy);
  const fits = (name: string, { part }: Exception) => `.${name}.`.includes(`.${part}.`);
  for (const exception of exceptions) {
    if (matrices.some((name) => fits(name, exception))) continue;
    throw refuse(
      policy,
      `"${exception.part}" is no part of a matrix's name; such are emb, head, att.key, ` +
        "ffn.value, blocks.0",
    );
  }
  return new Map(matrices.map((name) => {
    return [name, exceptions.findLast((exception) => fits(name, exception))?.type ?? type];
  }));
}

/**
 * A text as a policy, if it is well formed.
 *
 * @throws InferenceError `invalid_value` naming the word that is none, and what it may be.
 */
export function parseQuant(text: string): Quant {
  parse(text);
  return text as Quant;
}

/** The word for a type. */
export function quantName(type: WeightType): QuantName {
  return type === "f32" ? "none" : type;
}

function parse(text: string): { type: WeightType; exceptions: Exception[] } {
  const [base, ...rest] = text.split(",");
  const type = typeNamed(base, text);
  const exceptions = rest.map((exception) => {
    const [part, word, ...more] = exception.split("=");
    if (!/^[\w.]+$/.test(part) || word === undefined || more.length > 0) {
      throw refuse(text, `"${exception}" is no exception like head=int8 or blocks.0.att.value=f16`);
    }
    return { part, type: typeNamed(word, text) };
  });
  return { type, exceptions };
}

function typeNamed(word: string, text: string): WeightType {
  if (!Object.hasOwn(TYPES, word)) {
    throw refuse(text, `"${word}" is none of ${QUANT_NAMES.join(", ")}`);
  }
  return TYPES[word as QuantName];
}

function refuse(text: string, problem: string): InferenceError {
  return new InferenceError("invalid_value", `Cannot hold weights as "${text}": ${problem}`, {
    param: "quant",
  });
}

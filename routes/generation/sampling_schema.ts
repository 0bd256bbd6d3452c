/** Sampling and stop fields of all generation routes. */

import { z } from "@hono/zod-openapi";
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
  type SamplingParameterName,
} from "../../src/core/sampling_parameters.ts";
import type { Sampling } from "../../src/session/session_types.ts";

/** Maximum stop strings of a request. Roleplay clients send one for each character name. */
const MAX_STOPS = 256;

/** Maximum entries of `logit_bias`. */
export const MAX_LOGIT_BIASES = 4096;

const stop = z.union(
  [z.string(), z.array(z.string()).max(MAX_STOPS)],
  { error: `expected a string or a list of at most ${MAX_STOPS} strings` },
);

/** A token limit. Several clients send -1 for the server's default. */
export const tokenLimit = z.int().refine((tokens) => tokens === -1 || tokens >= 1, {
  error: "expected >=1, or -1 for the worker's default",
}).openapi({ minimum: -1 });

/** Seeds beyond 2^53 are accepted, although JSON numbers only have 53 significant bits. */
const seed = z.number().refine(Number.isInteger, { error: "expected an integer" })
  .min(-(2 ** 63)).max(2 ** 64);

const biases = z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100), {
  error: "expected an object with token ids as keys",
});

/** Counts the entries before validation, because an issue per invalid entry would be expensive. */
const logitBias = z.preprocess((value, { addIssue }) => {
  if (Array.isArray(value) && value.length === 0) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const count = Object.keys(value).length;
  if (count <= MAX_LOGIT_BIASES) return value;
  addIssue(`expected at most ${MAX_LOGIT_BIASES} entries, got ${count}`);
  return z.NEVER;
}, biases);

export const samplingFields = {
  stop: stop.nullish().openapi({
    description:
      `A string, or up to ${MAX_STOPS} strings of 2,048 bytes in total. The reply ends ` +
      "before the first match. Empty strings are ignored. An empty line always ends a chat reply. " +
      "The state includes the stop string, so a turn that resumes it continues after the string.",
    example: ["\nUser:"],
  }),
  ...numericFields(),
  logit_bias: logitBias.nullish().openapi({
    description:
      `Token ids with a value from -100 to 100 to add to the logit; at most ${MAX_LOGIT_BIASES} entries.`,
    example: { "261": -100 },
    maxProperties: MAX_LOGIT_BIASES,
  }),
  seed: seed.nullish().openapi({
    type: ["integer", "null"],
    description:
      "From -2^63 to 2^64-1. The same seed gives the same text on any worker and after " +
      "any resume. Beyond 2^53, different integers may parse to the same JSON number. Default: a " +
      "random seed, or the seed of the continued turn.",
    example: 42,
  }),
};

type SamplingRequest = z.infer<z.ZodObject<typeof samplingFields>>;

/** Returns a field for each parameter of the table. */
function numericFields(): Record<SamplingParameterName, NumericField> {
  const fields = SAMPLING_PARAMETER_NAMES.map((name) => [name, numericField(name)]);
  return Object.fromEntries(fields);
}

function numericField(name: SamplingParameterName) {
  const { min, max, integer, defaultValue, api, disabledBy, description, example }:
    SamplingParameter = SAMPLING_PARAMETERS[name];
  const lowest = api?.min ?? min, highest = api?.max ?? max;
  const number = integer ? z.int() : z.number();
  const ranged = (highest === Infinity ? number : number.max(highest)).min(lowest);
  return ranged.refine((value) => value === disabledBy || value >= min, {
    error: `expected >=${min}, or ${disabledBy} for none`,
  }).nullish().openapi({
    description: `${description} Default: ${defaultValue}.`,
    example,
  });
}

type NumericField = ReturnType<typeof numericField>;

/** Returns the sampling parameters that a request sets. */
export function samplingOf(request: SamplingRequest): Partial<Sampling> {
  const parameters = SAMPLING_PARAMETER_NAMES.flatMap((name) => {
    const { key, defaultValue, disabledBy }: SamplingParameter = SAMPLING_PARAMETERS[name];
    const value = request[name] ?? null;
    return value === null ? [] : [[key, value === disabledBy ? defaultValue : value] as const];
  });
  const { logit_bias } = request;
  return {
    ...Object.fromEntries(parameters),
    ...logit_bias && { logitBias: biasById(logit_bias) },
  };
}

/** Returns the stop strings without empty ones, which would end every reply immediately. */
export function stopsOf({ stop }: SamplingRequest): readonly string[] | undefined {
  const stops = [stop ?? []].flat().filter((text) => text !== "");
  return stops.length === 0 ? undefined : stops;
}

/** Returns a token limit; `undefined` for the worker's default. */
export function tokenLimitOf(limit: number | null | undefined): number | undefined {
  return limit === -1 ? undefined : limit ?? undefined;
}

/** Returns the seed as an unsigned 64-bit integer. */
export function seedOf({ seed }: SamplingRequest): bigint | undefined {
  return typeof seed === "number" ? BigInt.asUintN(64, BigInt(seed)) : undefined;
}

function biasById(bias: Record<string, number>): Map<number, number> {
  return new Map(Object.entries(bias).map(([id, value]) => [Number(id), value]));
}

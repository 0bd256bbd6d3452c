/** How tokens are chosen and where a reply ends: fields that all routes that write have. */

import { z } from "@hono/zod-openapi";
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
  type SamplingParameterName,
} from "../../src/core/sampling_parameters.ts";
import type { Sampling } from "../../src/session/session_types.ts";

/** Stop strings of one request at most; roleplay front ends send one for each name. */
const MAX_STOPS = 256;

/** Tokens that one request may bias at most. */
export const MAX_LOGIT_BIASES = 4096;

const stop = z.union(
  [z.string(), z.array(z.string()).max(MAX_STOPS)],
  { error: `expected a string or a list of at most ${MAX_STOPS} strings` },
);

/** A number of tokens to write at most; -1 is how several clients leave it to the server. */
export const tokenLimit = z.int().refine((tokens) => tokens === -1 || tokens >= 1, {
  error: "expected >=1, or -1 for the worker's own limit",
}).openapi({ minimum: -1 });

/** Also beyond 2^53, where JSON numbers keep 53 bits: the same number is the same seed. */
const seed = z.number().refine(Number.isInteger, { error: "expected an integer" })
  .min(-(2 ** 63)).max(2 ** 64);

const biases = z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100), {
  error: "expected an object that has token ids as names",
});

/** Counted before its entries are checked, since each wrong one costs much more than it took. */
const logitBias = z.preprocess((value, { addIssue }) => {
  if (Array.isArray(value) && value.length === 0) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const count = Object.keys(value).length;
  if (count <= MAX_LOGIT_BIASES) return value;
  addIssue(`${count} tokens are given; at most ${MAX_LOGIT_BIASES} can be biased`);
  return z.NEVER;
}, biases);

export const samplingFields = {
  stop: stop.nullish().openapi({
    description: `A string, or up to ${MAX_STOPS} of 2,048 bytes together: the reply ends before ` +
      "it. Empty strings are ignored. An empty line always ends a chat reply. The state has read " +
      "the string all the same, so that `state_id` goes on behind it.",
    example: ["\nUser:"],
  }),
  ...numericFields(),
  logit_bias: logitBias.nullish().openapi({
    description: `Added to logits, from -100 to 100, by token id; ${MAX_LOGIT_BIASES} at most.`,
    example: { "261": -100 },
    maxProperties: MAX_LOGIT_BIASES,
  }),
  seed: seed.nullish().openapi({
    type: ["integer", "null"],
    description: "From -2^63 to 2^64-1. The same seed gives the same text on any worker, and " +
      "after any resume; beyond 2^53, seeds that JSON numbers cannot tell apart are the same. A " +
      "new one, or that of the turn which goes on, unless given.",
    example: 42,
  }),
};

type SamplingRequest = z.infer<z.ZodObject<typeof samplingFields>>;

/** A field for each parameter of the table. */
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
    description: `${description} ${defaultValue} unless given.`,
    example,
  });
}

type NumericField = ReturnType<typeof numericField>;

/** Returns the parameters that a request gives. */
export function samplingOf(request: SamplingRequest): Partial<Sampling> {
  const given = SAMPLING_PARAMETER_NAMES.flatMap((name) => {
    const { key, defaultValue, disabledBy }: SamplingParameter = SAMPLING_PARAMETERS[name];
    const value = request[name] ?? null;
    return value === null ? [] : [[key, value === disabledBy ? defaultValue : value] as const];
  });
  const { logit_bias } = request;
  return { ...Object.fromEntries(given), ...logit_bias && { logitBias: biasById(logit_bias) } };
}

/** Returns the stop strings without empty ones, which would end every reply at once. */
export function stopsOf({ stop }: SamplingRequest): readonly string[] | undefined {
  const stops = [stop ?? []].flat().filter((text) => text !== "");
  return stops.length === 0 ? undefined : stops;
}

/** Returns a limit of tokens; `undefined` leaves it to the worker. */
export function tokenLimitOf(limit: number | null | undefined): number | undefined {
  return limit === -1 ? undefined : limit ?? undefined;
}

/** As an unsigned 64-bit number. */
export function seedOf({ seed }: SamplingRequest): bigint | undefined {
  return typeof seed === "number" ? BigInt.asUintN(64, BigInt(seed)) : undefined;
}

function biasById(bias: Record<string, number>): Map<number, number> {
  return new Map(Object.entries(bias).map(([id, value]) => [Number(id), value]));
}

/** How tokens are chosen and where a reply ends: fields that all routes that write have. */

import { z } from "@hono/zod-openapi";
import type { Sampling } from "../src/session/session_types.ts";

const stop = z.union(
  [z.string().min(1), z.array(z.string().min(1)).max(16)],
  { error: "expected a string or a list of at most 16 strings" },
);

export const samplingFields = {
  stop: stop.nullish().openapi({
    description:
      "A string, or up to 16: the reply ends before it. An empty line always ends it. The " +
      "state has read the string all the same, so that `state_id` goes on behind it.",
    example: ["\nUser:"],
  }),
  temperature: z.number().min(0).max(2).nullish().openapi({
    description: "How much chance there is; 0 takes the most probable token. 1 unless given.",
    example: 0.8,
  }),
  top_p: z.number().min(0).max(1).nullish().openapi({
    description: "Keeps the most probable tokens whose probabilities sum up to this. 1, all of " +
      "them, unless given.",
    example: 0.9,
  }),
  top_k: z.int().min(0).nullish().openapi({
    description: "Keeps this many most probable tokens. 0, all of them, unless given.",
    example: 40,
  }),
  min_p: z.number().min(0).max(1).nullish().openapi({
    description: "Keeps the tokens at least this part as probable as the most probable one. 0, " +
      "all of them, unless given.",
    example: 0.05,
  }),
  repetition_penalty: z.number().min(0.1).max(10).nullish().openapi({
    description: "Divides the positive logits of tokens that were sampled in the conversation, " +
      "and multiplies the others. 1 unless given.",
    example: 1.1,
  }),
  presence_penalty: z.number().min(-2).max(2).nullish().openapi({
    description: "Subtracted once from the logit of every token that was sampled in the whole " +
      "conversation. 0 unless given.",
    example: 0.3,
  }),
  frequency_penalty: z.number().min(-2).max(2).nullish().openapi({
    description: "Subtracted for each time that a token was sampled in the whole conversation. " +
      "0 unless given.",
    example: 0.3,
  }),
  penalty_decay: z.number().min(0).max(1).nullish().openapi({
    description: "Factor on the penalties' counts after each token. 1 unless given.",
    example: 0.996,
  }),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).nullish()
    .openapi({
      description: "Added to logits, from -100 to 100, by token id.",
      example: { "261": -100 },
    }),
  seed: z.int().nullish().openapi({
    description: "The same seed gives the same text on any worker, and after any resume. A new " +
      "one, or that of the turn which goes on, unless given.",
    example: 42,
  }),
};

type SamplingRequest = z.infer<z.ZodObject<typeof samplingFields>>;

/** Only what the request says: the rest is the worker's to choose. */
export function samplingOf(request: SamplingRequest): Partial<Sampling> {
  const wanted = {
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    repetitionPenalty: request.repetition_penalty,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    penaltyDecay: request.penalty_decay,
    logitBias: request.logit_bias && biasById(request.logit_bias),
  };
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => (value ?? null) !== null));
}

export function stopsOf({ stop }: SamplingRequest): readonly string[] | undefined {
  return typeof stop === "string" ? [stop] : stop ?? undefined;
}

/** As an unsigned 64-bit number. */
export function seedOf({ seed }: SamplingRequest): bigint | undefined {
  return typeof seed === "number" ? BigInt.asUintN(64, BigInt(seed)) : undefined;
}

function biasById(bias: Record<string, number>): Map<number, number> {
  return new Map(Object.entries(bias).map(([id, value]) => [Number(id), value]));
}

/** How probable tokens were, as completions and responses tell it. */

import { z } from "@hono/zod-openapi";
import type { TextToken, TokenProbability } from "../../src/session/session_types.ts";

const chance = {
  token: z.string().openapi({
    description: "Its text; what is not UTF-8 by itself shows as U+FFFD.",
    example: " Hello",
  }),
  logprob: z.number().openapi({
    description: "Natural logarithm of its probability by the model alone, before any sampling " +
      "setting.",
    example: -0.31,
  }),
  bytes: z.array(z.int().min(0).max(255)).openapi({
    description: "Its bytes.",
    example: [32, 72, 101, 108, 108, 111],
  }),
};

const chanceSchema = z.object(chance).openapi("TokenLogprob");

/** What a description says of how many may be asked for. */
export const LOGPROBS_LIMIT = "Choices times tokens to write at most times probabilities a token " +
  "(those most probable, and its own) are at most 200,000, unless the reply is streamed. A stream of which as " +
  "many wait to be read ends with `length`, and its state goes on.";

/** How many most probable tokens may be asked for with each one. */
export const topLogprobs = z.int().min(0).max(20);

export const tokenLogprobsSchema = z.array(
  z.object({
    ...chance,
    top_logprobs: z.array(chanceSchema).openapi({
      description: "The most probable tokens in its place, the most probable one first.",
    }),
  }).openapi("TokenLogprobs"),
);

export const chatLogprobsSchema = z.object({
  content: tokenLogprobsSchema.openapi({ description: "The tokens of the text, in order." }),
  refusal: z.null().openapi({ description: "Always null.", example: null }),
}).openapi("ChatLogprobs");

export const textLogprobsSchema = z.object({
  tokens: z.array(z.string()).openapi({ description: "The tokens of the text.", example: [" a"] }),
  token_logprobs: z.array(z.number()).openapi({
    description: "Natural logarithms of their probabilities.",
    example: [-0.3],
  }),
  top_logprobs: z.array(z.record(z.string(), z.number())).openapi({
    description: "For each, the most probable tokens in its place.",
    example: [{ " a": -0.3, " the": -1.4 }],
  }),
  text_offset: z.array(z.int().min(0)).openapi({
    description: "Where each begins in the text, in characters.",
    example: [0],
  }),
}).openapi("TextLogprobs");

export type TokenLogprobs = z.infer<typeof tokenLogprobsSchema>;
export type ChatLogprobs = z.infer<typeof chatLogprobsSchema>;
export type TextLogprobs = z.infer<typeof textLogprobsSchema>;

export function tokenLogprobs(tokens: readonly TextToken[]): TokenLogprobs {
  return tokens.map(({ top, ...own }) => ({ ...told(own), top_logprobs: top.map(told) }));
}

/** `null` where they were not asked for. */
export function chatLogprobs(tokens: readonly TextToken[] | undefined): ChatLogprobs | null {
  return tokens === undefined ? null : { content: tokenLogprobs(tokens), refusal: null };
}

/** @param offset Characters of the text before these tokens. */
export function textLogprobs(
  tokens: readonly TextToken[] | undefined,
  offset: number,
): TextLogprobs | null {
  if (tokens === undefined) return null;
  const texts = tokens.map(({ bytes }) => textOf(bytes));
  let at = offset;
  return {
    tokens: texts,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      // The most probable one of those with the same text.
      Object.fromEntries(top.toReversed().map(({ bytes, logprob }) => [textOf(bytes), logprob]))
    ),
    text_offset: texts.map((text) => {
      const begin = at;
      at += text.length;
      return begin;
    }),
  };
}

function told({ bytes, logprob }: TokenProbability) {
  return { token: textOf(bytes), logprob, bytes: [...bytes] };
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

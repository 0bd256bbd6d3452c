/** Log probabilities of tokens in completions and responses. */

import { z } from "@hono/zod-openapi";
import type { TextToken, TokenProbability } from "../../src/session/session_types.ts";

const probabilityFields = {
  token: z.string().openapi({
    description: "The token's text. Bytes that are not valid UTF-8 are replaced with U+FFFD.",
    example: " Hello",
  }),
  logprob: z.number().openapi({
    description: "Natural logarithm of the model's probability, before sampling parameters are " +
      "applied.",
    example: -0.31,
  }),
  bytes: z.array(z.int().min(0).max(255)).openapi({
    description: "The token's bytes.",
    example: [32, 72, 101, 108, 108, 111],
  }),
};

const tokenLogprobSchema = z.object(probabilityFields).openapi("TokenLogprob");

/** Description of the limit on log probabilities. */
export const LOGPROBS_LIMIT = "Without streaming, the number of choices times the token limit " +
  "times the probabilities per token (the top ones and the token's own) must not exceed 200,000. " +
  "A stream ends with `length` once 200,000 probabilities are unread, and can be continued.";

/** Number of most probable tokens returned with each token. */
export const topLogprobs = z.int().min(0).max(20);

export const tokenLogprobsSchema = z.array(
  z.object({
    ...probabilityFields,
    top_logprobs: z.array(tokenLogprobSchema).openapi({
      description: "The most probable tokens at this position, in descending order.",
    }),
  }).openapi("TokenLogprobs"),
);

export const chatLogprobsSchema = z.object({
  content: tokenLogprobsSchema.openapi({ description: "The tokens of the text in order." }),
  refusal: z.null().openapi({ description: "Always null.", example: null }),
}).openapi("ChatLogprobs");

export const textLogprobsSchema = z.object({
  tokens: z.array(z.string()).openapi({ description: "The tokens of the text.", example: [" a"] }),
  token_logprobs: z.array(z.number()).openapi({
    description: "Natural logarithms of the tokens' probabilities.",
    example: [-0.3],
  }),
  top_logprobs: z.array(z.record(z.string(), z.number())).openapi({
    description: "For each position, the most probable tokens.",
    example: [{ " a": -0.3, " the": -1.4 }],
  }),
  text_offset: z.array(z.int().min(0)).openapi({
    description: "Offset of each token in the text, in characters.",
    example: [0],
  }),
}).openapi("TextLogprobs");

export type TokenLogprobs = z.infer<typeof tokenLogprobsSchema>;
export type ChatLogprobs = z.infer<typeof chatLogprobsSchema>;
export type TextLogprobs = z.infer<typeof textLogprobsSchema>;

/** Returns the log probabilities of tokens with their alternatives. */
export function tokenLogprobs(tokens: readonly TextToken[]): TokenLogprobs {
  return tokens.map(({ top, ...own }) => ({
    ...tokenLogprob(own),
    top_logprobs: top.map(tokenLogprob),
  }));
}

/** Returns the log probabilities of a chat choice; `null` if they were not requested. */
export function chatLogprobs(tokens: readonly TextToken[] | undefined): ChatLogprobs | null {
  return tokens === undefined ? null : { content: tokenLogprobs(tokens), refusal: null };
}

/**
 * Returns the log probabilities of a text choice; `null` if they were not requested.
 *
 * @param offset Characters of the text before these tokens.
 */
export function textLogprobs(
  tokens: readonly TextToken[] | undefined,
  offset: number,
): TextLogprobs | null {
  if (tokens === undefined) return null;
  const texts = tokens.map(({ bytes }) => textOf(bytes));
  let position = offset;
  return {
    tokens: texts,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      // If several tokens have the same text, the most probable one overwrites the others.
      Object.fromEntries(top.toReversed().map(({ bytes, logprob }) => [textOf(bytes), logprob]))
    ),
    text_offset: texts.map((text) => {
      const start = position;
      position += text.length;
      return start;
    }),
  };
}

function tokenLogprob({ bytes, logprob }: TokenProbability) {
  return { token: textOf(bytes), logprob, bytes: [...bytes] };
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

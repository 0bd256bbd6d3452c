/** `POST /v1/tokenize` and `POST /v1/detokenize`: conversion between text and token ids. */

import { InferenceError } from "../../src/core/errors.ts";
import type { TokenApi } from "../../src/session/session_api.ts";
import { BODY_ERRORS, SESSION_ERRORS } from "../openapi/error_responses.ts";
import { assertModelLoaded } from "./models.ts";
import { ApiRoutes, defineRoute, jsonBody, jsonResponse } from "../openapi/openapi.ts";
import type { RouteOptions } from "../route_options.ts";
import {
  detokenizedSchema,
  detokenizeRequestSchema,
  tokenizedSchema,
  type TokenizeRequest,
  tokenizeRequestSchema,
} from "./tokenize_schema.ts";

const errors = [...BODY_ERRORS, ...SESSION_ERRORS, "model_not_found"] as const;

const tokenize = defineRoute({
  method: "post",
  path: "/tokenize",
  operationId: "tokenize",
  tags: ["Models"],
  summary: "Tokenize text",
  description:
    "Returns the token ids of a `prompt`, or of `messages` with the chat template applied.",
  request: { body: jsonBody(tokenizeRequestSchema, "The text or the messages.") },
  responses: { 200: jsonResponse(tokenizedSchema, "The token ids.") },
  errors,
});

const detokenize = defineRoute({
  method: "post",
  path: "/detokenize",
  operationId: "detokenize",
  tags: ["Models"],
  summary: "Detokenize token ids",
  description: "Returns the text of token ids. Ids outside the vocabulary are rejected.",
  request: { body: jsonBody(detokenizeRequestSchema, "The token ids.") },
  responses: { 200: jsonResponse(detokenizedSchema, "The text.") },
  errors,
});

export function tokenRoutes({ sessions, body }: RouteOptions): ApiRoutes {
  return new ApiRoutes(body)
    .handle(tokenize, async (c) => {
      const request = c.req.valid("json");
      const ready = await sessions(c);
      assertModelLoaded(ready.model, request.model ?? undefined);
      const tokens = await tokensOfRequest(request, ready.tokens);
      return c.json({ tokens, count: tokens.length, max_model_len: null }, 200);
    })
    .handle(detokenize, async (c) => {
      const request = c.req.valid("json");
      const ready = await sessions(c);
      assertModelLoaded(ready.model, request.model ?? undefined);
      return c.json({ prompt: await ready.tokens.detokenize(request.tokens) }, 200);
    });
}

async function tokensOfRequest(request: TokenizeRequest, tokenApi: TokenApi): Promise<number[]> {
  const prompt = request.prompt ?? null;
  const messages = request.messages ?? null;
  if (prompt !== null && messages === null) return tokenApi.tokenize(prompt);
  if (messages !== null && prompt === null) return await tokenApi.tokenizeMessages(messages);
  const problem = prompt === null ? "neither is given" : "both are given";
  throw new InferenceError(
    "invalid_value",
    `prompt: ${problem}; send either prompt or messages`,
    { param: "prompt" },
  );
}

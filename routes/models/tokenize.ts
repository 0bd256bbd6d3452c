/** `POST /v1/tokenize` and `/v1/detokenize`: texts as the ids that the model reads, and back. */

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
  summary: "Make a text token ids",
  description: "Of a `prompt` as it stands, or of `messages` with all that a chat request would " +
    "read of them.",
  request: { body: jsonBody(tokenizeRequestSchema, "The text.") },
  responses: { 200: jsonResponse(tokenizedSchema, "The ids.") },
  errors,
});

const detokenize = defineRoute({
  method: "post",
  path: "/detokenize",
  operationId: "detokenize",
  tags: ["Models"],
  summary: "Make token ids a text",
  description: "Ids that the vocabulary does not have are refused.",
  request: { body: jsonBody(detokenizeRequestSchema, "The ids.") },
  responses: { 200: jsonResponse(detokenizedSchema, "The text.") },
  errors,
});

export function tokenRoutes({ sessions, body }: RouteOptions): ApiRoutes {
  return new ApiRoutes(body)
    .handle(tokenize, async (c) => {
      const request = c.req.valid("json");
      const ready = await sessions(c);
      assertModelLoaded(ready.model, request.model ?? undefined);
      const tokens = await tokensOf(request, ready.tokens);
      return c.json({ tokens, count: tokens.length, max_model_len: null }, 200);
    })
    .handle(detokenize, async (c) => {
      const request = c.req.valid("json");
      const ready = await sessions(c);
      assertModelLoaded(ready.model, request.model ?? undefined);
      return c.json({ prompt: await ready.tokens.textOf(request.tokens) }, 200);
    });
}

async function tokensOf(request: TokenizeRequest, desk: TokenApi): Promise<number[]> {
  const prompt = request.prompt ?? null;
  const messages = request.messages ?? null;
  if (prompt !== null && messages === null) return desk.ofText(prompt);
  if (messages !== null && prompt === null) return await desk.ofMessages(messages);
  const what = prompt === null ? "neither is given" : "both are given";
  throw new InferenceError(
    "invalid_value",
    `prompt: ${what}; send either prompt or messages`,
    { param: "prompt" },
  );
}

/** `/v1/states`: what is known of a stored state, its end, and the whole of it as a file. */

import { z } from "@hono/zod-openapi";
import type { StateDescription } from "../../src/session/session_types.ts";
import { readChunks } from "../middleware/body.ts";
import { SESSION_ERRORS, STATE_ERRORS } from "../openapi/error_responses.ts";
import { stateId } from "../openapi/ids_schema.ts";
import { accountOf } from "../middleware/rate_limits.ts";
import { ApiRoutes, defineRoute, jsonResponse } from "../openapi/openapi.ts";
import { headersOf } from "../openapi/response_headers.ts";
import { memoryLease } from "../middleware/memory_budget.ts";
import type { RouteOptions } from "../route_options.ts";
import {
  deletedStateSchema,
  stateFileSchema,
  type StateObject,
  stateSchema,
  transcriptQuery,
} from "./state_schema.ts";

/** Bytes of a file that are sent at once. */
const PIECE_BYTES = 256 * 1024;

const tags = ["States"];
const params = z.object({ id: stateId });
const stateFile = { "application/octet-stream": { schema: stateFileSchema } };

const importState = defineRoute({
  method: "post",
  path: "/states",
  operationId: "importState",
  tags,
  summary: "Make a file a state",
  description: "Takes a file of `GET /v1/states/{id}/content`, on any worker of the same model. " +
    "The new state has an id of its own, and lasts as long as a new one.",
  request: {
    body: {
      required: true,
      description: "The file. It is checked to the last field, and may be as large as any state " +
        "of the model with 72 MiB of conversation.",
      content: stateFile,
    },
  },
  responses: {
    201: { ...jsonResponse(stateSchema, "The new state."), headers: headersOf("location") },
  },
  errors: [
    ...SESSION_ERRORS,
    "invalid_state_file",
    "model_mismatch",
    "payload_too_large",
    "unsupported_encoding",
    "request_timeout",
    "overloaded",
    "rate_limit_exceeded",
    "storage_limit_exceeded",
    "store_unavailable",
  ],
});

const getState = defineRoute({
  method: "get",
  path: "/states/{id}",
  operationId: "getState",
  tags,
  summary: "Describe a state",
  description: "What is known of a state, and the conversation that led to it, page by page.",
  request: { params, query: transcriptQuery },
  responses: { 200: jsonResponse(stateSchema, "The state.") },
  errors: [...SESSION_ERRORS, ...STATE_ERRORS, "overloaded", "invalid_value"],
});

const deleteState = defineRoute({
  method: "delete",
  path: "/states/{id}",
  operationId: "deleteState",
  tags,
  summary: "Delete a state",
  description: "Answers that are kept under an `Idempotency-Key` and name it go with it; states " +
    "that were resumed from it stay.",
  request: { params },
  responses: { 200: jsonResponse(deletedStateSchema, "The state is gone.") },
  errors: [...SESSION_ERRORS, "state_not_found", "store_unavailable"],
});

const exportState = defineRoute({
  method: "get",
  path: "/states/{id}/content",
  operationId: "exportState",
  tags,
  summary: "Take a state out as a file",
  description: "All of it, with sizes and checksums. The file has no id in it.",
  request: { params },
  responses: {
    200: {
      description: "The file.",
      headers: headersOf("content-disposition"),
      content: stateFile,
    },
  },
  errors: [...SESSION_ERRORS, ...STATE_ERRORS, "overloaded"],
});

export function stateRoutes({ sessions, body }: RouteOptions): ApiRoutes {
  return new ApiRoutes()
    .handle(importState, async (c) => {
      const ready = await sessions(c);
      const limits = { ...body, bytes: ready.importLimit, memory: memoryLease(c) };
      const remedy = "more than any state of this model with its conversation";
      const state = await ready.importState(readChunks(c.req.raw, limits, remedy), accountOf(c));
      c.header("location", `/v1/states/${state.id}`);
      return c.json(stateObject(state), 201);
    })
    .handle(getState, async (c) => {
      const ready = await sessions(c);
      const { after: skipped = 0, limit } = c.req.valid("query");
      const page = { after: skipped - 1, limit, reserve: memoryLease(c).grow };
      return c.json(stateObject(await ready.describe(c.req.valid("param").id, page)), 200);
    })
    .handle(deleteState, async (c) => {
      const ready = await sessions(c);
      const { id } = c.req.valid("param");
      await ready.delete(id);
      return c.json({ id, object: "state", deleted: true }, 200);
    })
    .handle(exportState, async (c) => {
      const ready = await sessions(c);
      const { name, bytes, parts } = await ready.exportState(
        c.req.valid("param").id,
        memoryLease(c).grow,
      );
      return c.body(ReadableStream.from(pieces(parts)), 200, {
        "content-type": "application/octet-stream",
        "content-length": String(bytes),
        "content-disposition": `attachment; filename="${name}"`,
      });
    });
}

/** A state as the API tells of it. */
function stateObject({ model, ...state }: StateDescription): StateObject {
  return {
    id: state.id,
    object: "state",
    model: model.id,
    model_fingerprint: model.fingerprint,
    quant: model.quant ?? null,
    created: Math.floor(state.created / 1000),
    expires_at: Math.floor(state.expires / 1000),
    bytes: state.bytes,
    open: state.open,
    tokens: state.tokens,
    pending_tokens: state.pendingTokens,
    message_count: state.messageCount,
    transcript: state.transcript,
    has_more: state.hasMore,
  };
}

function* pieces(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += PIECE_BYTES) {
      yield part.subarray(at, at + PIECE_BYTES);
    }
  }
}

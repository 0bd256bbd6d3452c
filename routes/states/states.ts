/** `/v1/states`: retrieval, deletion, export and import of stored states. */

import { z } from "@hono/zod-openapi";
import type { StateDescription } from "../../src/session/session_types.ts";
import { readChunks } from "../middleware/body.ts";
import { SESSION_ERRORS, STATE_ERRORS } from "../openapi/error_responses.ts";
import { stateId } from "../openapi/ids_schema.ts";
import { accountOf } from "../middleware/rate_limits.ts";
import { ApiRoutes, defineRoute, jsonResponse } from "../openapi/openapi.ts";
import { headerRefs } from "../openapi/response_headers.ts";
import { memoryLease } from "../middleware/memory_budget.ts";
import type { RouteOptions } from "../route_options.ts";
import {
  deletedStateSchema,
  stateFileSchema,
  type StateObject,
  stateSchema,
  transcriptQuery,
} from "./state_schema.ts";

/** Chunk size of an exported file in bytes. */
const CHUNK_BYTES = 256 * 1024;

const tags = ["States"];
const params = z.object({ id: stateId });
const stateFile = { "application/octet-stream": { schema: stateFileSchema } };

const importState = defineRoute({
  method: "post",
  path: "/states",
  operationId: "importState",
  tags,
  summary: "Import a state",
  description: "Imports a file from `GET /v1/states/{id}/content` of any worker with the same " +
    "model. The state gets a new id and the default lifetime.",
  request: {
    body: {
      required: true,
      description:
        "The file. All fields are validated. The size limit is the largest state of the " +
        "model plus 72 MiB of conversation.",
      content: stateFile,
    },
  },
  responses: {
    201: { ...jsonResponse(stateSchema, "The imported state."), headers: headerRefs("location") },
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
  summary: "Retrieve a state",
  description: "Retrieves the metadata of a state and a page of its conversation.",
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
  description: "Deletes a state, and the responses with its id that are stored under an " +
    "`Idempotency-Key`. States that were resumed from it are not deleted.",
  request: { params },
  responses: { 200: jsonResponse(deletedStateSchema, "The state was deleted.") },
  errors: [...SESSION_ERRORS, "state_not_found", "store_unavailable"],
});

const exportState = defineRoute({
  method: "get",
  path: "/states/{id}/content",
  operationId: "exportState",
  tags,
  summary: "Export a state",
  description:
    "Exports the whole state as a file with sizes and checksums. The file does not contain an id.",
  request: { params },
  responses: {
    200: {
      description: "The file.",
      headers: headerRefs("content-disposition"),
      content: stateFile,
    },
  },
  errors: [...SESSION_ERRORS, ...STATE_ERRORS, "overloaded"],
});

export function stateRoutes({ sessions, body }: RouteOptions): ApiRoutes {
  return new ApiRoutes()
    .handle(importState, async (c) => {
      const ready = await sessions(c);
      const limits = { ...body, maxBytes: ready.importLimit, memory: memoryLease(c) };
      const remedy = "no state of this model is that large";
      const state = await ready.importState(readChunks(c.req.raw, limits, remedy), accountOf(c));
      c.header("location", `/v1/states/${state.id}`);
      return c.json(stateObject(state), 201);
    })
    .handle(getState, async (c) => {
      const ready = await sessions(c);
      const { after: skipped = 0, limit } = c.req.valid("query");
      const page = { after: skipped - 1, limit, reserve: memoryLease(c).reserve };
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
        memoryLease(c).reserve,
      );
      return c.body(ReadableStream.from(splitChunks(parts)), 200, {
        "content-type": "application/octet-stream",
        "content-length": String(bytes),
        "content-disposition": `attachment; filename="${name}"`,
      });
    });
}

/** Returns the API object of a state. */
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

function* splitChunks(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const part of parts) {
    for (let start = 0; start < part.length; start += CHUNK_BYTES) {
      yield part.subarray(start, start + CHUNK_BYTES);
    }
  }
}

/** `/v1/models`: the model that this worker runs. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import { describeModel } from "../../src/session/stored_turn.ts";
import type { SessionModel } from "../../src/session/session_types.ts";
import { SESSION_ERRORS } from "../openapi/error_responses.ts";
import { modelId } from "../openapi/ids_schema.ts";
import { modelListSchema, type ModelObject, modelSchema } from "./model_schema.ts";
import { ApiRoutes, defineRoute, jsonResponse } from "../openapi/openapi.ts";
import type { RouteOptions } from "../route_options.ts";

const listModels = defineRoute({
  method: "get",
  path: "/models",
  operationId: "listModels",
  tags: ["Models"],
  summary: "List models",
  description: "Lists the one model that the worker runs.",
  responses: { 200: jsonResponse(modelListSchema, "A list with one model.") },
  errors: SESSION_ERRORS,
});

const getModel = defineRoute({
  method: "get",
  path: "/models/{id}",
  pattern: "/models/:id{[^]+}",
  operationId: "retrieveModel",
  tags: ["Models"],
  summary: "Retrieve a model",
  description: "Retrieves the model by its id, which may contain slashes, or as `default`.",
  request: { params: z.object({ id: modelId.openapi({ example: "default" }) }) },
  responses: { 200: jsonResponse(modelSchema, "The model.") },
  errors: [...SESSION_ERRORS, "model_not_found"],
});

export function modelRoutes({ sessions }: RouteOptions): ApiRoutes {
  return new ApiRoutes()
    .handle(listModels, async (c) => {
      const { model } = await sessions(c);
      return c.json({ object: "list", data: [modelObject(model)] }, 200);
    })
    .handle(getModel, async (c) => {
      const { model } = await sessions(c);
      assertModelLoaded(model, c.req.valid("param").id);
      return c.json(modelObject(model), 200);
    });
}

/**
 * Checks that a request names the loaded model. It may use the id, `default`, no name, or an empty
 * name, which clients without a model setting send.
 *
 * @throws InferenceError `model_not_found`
 */
export function assertModelLoaded({ id }: SessionModel, name: string | undefined): void {
  if ([undefined, "", id, "default"].includes(name)) return;
  throw new InferenceError(
    "model_not_found",
    `The model ${JSON.stringify(name)} is not loaded; this worker runs ${JSON.stringify(id)}, ` +
      'also called "default"',
    { param: "model" },
  );
}

function modelObject(model: SessionModel): ModelObject {
  const { id, created, fingerprint, quant } = model;
  const { layers, width, headSize, vocabulary, ...state } = describeModel(model);
  return {
    id,
    object: "model",
    created,
    owned_by: "rwkv",
    fingerprint,
    quantization: quant ?? null,
    sizes: { layers, width, head_size: headSize, vocabulary },
    state_bytes: {
      codec: state.codec,
      stored: state.storedBytes,
      float32: state.float32Bytes,
    },
  };
}

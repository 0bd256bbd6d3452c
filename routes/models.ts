/** `/v1/models`: the one model that this worker runs. */

import { Hono } from "hono";
import { InferenceError } from "../src/core/errors.ts";
import type { SessionModel } from "../src/session/session_types.ts";
import { methodNotAllowed } from "./errors.ts";
import type { RouteOptions } from "./route_options.ts";

export function modelRoutes({ sessions }: RouteOptions): Hono {
  return new Hono()
    .get("/models", async (c) => {
      const { model } = await sessions(c.req.raw.signal);
      return c.json({ object: "list", data: [modelObject(model)] });
    })
    .all("/models", methodNotAllowed("GET"))
    .get("/models/:id{.+}", async (c) => {
      const { model } = await sessions(c.req.raw.signal);
      assertModel(model, c.req.param("id"));
      return c.json(modelObject(model));
    })
    .all("/models/:id{.+}", methodNotAllowed("GET"));
}

/**
 * Passes the loaded model's id, `default`, and no name at all.
 *
 * @throws InferenceError `model_not_found`
 */
export function assertModel({ id }: SessionModel, name: string | undefined): void {
  if (name === undefined || name === id || name === "default") return;
  throw new InferenceError(
    "model_not_found",
    `The model ${JSON.stringify(name)} is not loaded; this worker runs ${JSON.stringify(id)}, ` +
      'also called "default"',
    { param: "model" },
  );
}

function modelObject({ id, created }: SessionModel) {
  return { id, object: "model", created, owned_by: "rwkv" };
}

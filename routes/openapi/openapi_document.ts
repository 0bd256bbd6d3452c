/** `/openapi.json`: what the routes were declared with, as an OpenAPI 3.1 document. */

import { z } from "@hono/zod-openapi";
import config from "../../deno.json" with { type: "json" };
import { ApiRoutes, defineRoute, jsonResponse } from "./openapi.ts";
import { RESPONSE_HEADERS } from "./response_headers.ts";

export type OpenApiDocument = ReturnType<ApiRoutes["getOpenAPI31Document"]>;
type Paths = NonNullable<OpenApiDocument["paths"]>;

/** How requests tell who they are of. */
const SECURITY_SCHEMES = {
  apiKey: {
    type: "http",
    scheme: "bearer",
    description: "A key of the worker's, where it has any.",
  },
  metricsToken: {
    type: "http",
    scheme: "bearer",
    description: "The worker's token for `/metrics`, where it has keys or such a token.",
  },
} as const;

/** Resources, in the order in which the reference tells of them. */
const TAGS = [
  { name: "Chat", description: "Turns, which lead from state to state." },
  {
    name: "Responses",
    description: "Turns by OpenAI's other interface, each after the one before.",
  },
  { name: "Conversations", description: "Names that move from state to state as turns are taken." },
  { name: "States", description: "What the store knows of the states that turns lead to." },
  { name: "Models", description: "The one model that this worker runs." },
  { name: "Worker", description: "How the worker is, for people and for orchestrators." },
];

const INFO = {
  title: "RWKV worker",
  version: config.version,
  description: "Chat with an RWKV-5 model. The API is OpenAI's, and more: every turn leads to a " +
    "state of the model, which the worker stores, and any worker goes on from by its id.\n\n" +
    "Bodies are JSON of at most 8 MiB, whatever their content type says. Fields that are not " +
    "listed are ignored, but for those that an operation's description names, and null is the " +
    "same as leaving a field out. A path that is not listed answers 404 " +
    "`not_found`, a method that is not listed 405 `method_not_allowed`.\n\n" +
    "A worker that has keys takes requests below `/v1` with one of them alone, as " +
    "`Authorization: Bearer KEY`. States, conversations, responses and idempotency keys are of the " +
    "key's tenant: an id of another tenant is answered as one that there is not.",
  license: { name: config.license, identifier: config.license },
};

const jsonObject = z.record(z.string(), z.unknown()).openapi({
  description: "An OpenAPI document.",
});

type JsonObject = z.infer<typeof jsonObject>;

const getDocument = defineRoute({
  method: "get",
  path: "/openapi.json",
  operationId: "getDocument",
  tags: ["Worker"],
  summary: "This document",
  description: "The OpenAPI 3.1 document of this worker. `/docs` shows it to people.",
  responses: { 200: jsonResponse(jsonObject, "The document.") },
  errors: [],
});

/** @param describe The document of the whole app. */
export function documentRoutes(describe: () => OpenApiDocument): ApiRoutes {
  return new ApiRoutes().handle(getDocument, (c) => c.json({ ...describe() } as JsonObject, 200));
}

/** The document of an app, once all its routes are there. */
export function buildDocument(app: ApiRoutes): OpenApiDocument {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: INFO,
    servers: [{ url: "/", description: "This worker" }],
    tags: TAGS,
  });
  const { components } = document;
  return {
    ...document,
    paths: secured(document.paths ?? {}),
    components: {
      ...components,
      headers: { ...RESPONSE_HEADERS },
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

/** What every operation may want: a key, or nothing from a worker that has none. */
function secured(paths: Paths): Paths {
  const scheme = (path: string) =>
    path.startsWith("/v1/") ? "apiKey" : path === "/metrics" ? "metricsToken" : null;
  return Object.fromEntries(
    Object.entries(paths).map(([path, item]) => {
      const name = scheme(path);
      const security = name === null ? [] : [{ [name]: [] }, {}];
      const operations = Object.entries(item).map(([method, operation]) => [
        method,
        { ...operation, security },
      ]);
      return [path, Object.fromEntries(operations)];
    }),
  );
}

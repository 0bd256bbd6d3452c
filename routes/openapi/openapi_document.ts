/** `/openapi.json`: the OpenAPI 3.1 document, generated from the declarations of all routes. */

import { z } from "@hono/zod-openapi";
import config from "../../deno.json" with { type: "json" };
import { ApiRoutes, defineRoute, jsonResponse } from "./openapi.ts";
import { RESPONSE_HEADERS } from "./response_headers.ts";

export type OpenApiDocument = ReturnType<ApiRoutes["getOpenAPI31Document"]>;
type Paths = NonNullable<OpenApiDocument["paths"]>;

/** Authentication schemes. */
const SECURITY_SCHEMES = {
  apiKey: {
    type: "http",
    scheme: "bearer",
    description: "An API key. Required if the worker has any.",
  },
  metricsToken: {
    type: "http",
    scheme: "bearer",
    description: "The metrics token. Required if the worker has API keys or a metrics token.",
  },
} as const;

/** Resources, in the order of the documentation page. */
const TAGS = [
  { name: "Chat", description: "Chat and text completions. Each one creates a new state." },
  {
    name: "Responses",
    description: "OpenAI's Responses API. Each response can continue a previous one.",
  },
  { name: "Conversations", description: "Named references to states, which each turn advances." },
  { name: "States", description: "Stored states, and their export and import as files." },
  { name: "Models", description: "The model of this worker, and its tokenizer." },
  { name: "Worker", description: "Health, metrics and documentation of this worker." },
];

const INFO = {
  title: "RWKV worker",
  version: config.version,
  description:
    "Chat with an RWKV-5 model. The API is compatible with OpenAI's and extends it: each " +
    "turn creates a state of the model, which the worker stores. Any worker can resume it by its " +
    "id.\n\n" +
    "Request bodies are JSON of at most 8 MiB, regardless of their content type. Unlisted fields " +
    "are ignored, except those named in an operation's description. Null is equivalent to an " +
    "omitted field. An unlisted path returns 404 `not_found`, an unlisted method 405 " +
    "`method_not_allowed`.\n\n" +
    "A worker with API keys requires one of them for requests below `/v1`, as " +
    "`Authorization: Bearer KEY`. States, conversations, responses and idempotency keys belong to " +
    "the key's tenant; an id of another tenant returns 404, or 400 if it is in a request body.",
  license: { name: config.license, identifier: config.license },
};

const jsonObject = z.record(z.string(), z.unknown()).openapi({
  description: "An OpenAPI document.",
});

type JsonObject = z.infer<typeof jsonObject>;

const documentRoute = defineRoute({
  method: "get",
  path: "/openapi.json",
  operationId: "getDocument",
  tags: ["Worker"],
  summary: "Get the OpenAPI document",
  description: "Returns the OpenAPI 3.1 document of this worker. `/docs` renders it as a page.",
  responses: { 200: jsonResponse(jsonObject, "The document.") },
  errors: [],
});

/** @param getDocument Returns the document of the whole app. */
export function documentRoutes(getDocument: () => OpenApiDocument): ApiRoutes {
  return new ApiRoutes().handle(
    documentRoute,
    (c) => c.json({ ...getDocument() } as JsonObject, 200),
  );
}

/** Builds the document of an app after all its routes were registered. */
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
    paths: withSecurity(document.paths ?? {}),
    components: {
      ...components,
      headers: { ...RESPONSE_HEADERS },
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

/** Adds the authentication of every operation: a token, or none on a worker without keys. */
function withSecurity(paths: Paths): Paths {
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

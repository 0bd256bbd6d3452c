/**
 * How a route is declared: its zod schemas check what comes in, type what goes out, and are what
 * the OpenAPI document tells.
 */

import { OpenAPIHono, type RouteConfig, type RouteHandler } from "@hono/zod-openapi";
import type { Context, Handler, MiddlewareHandler } from "hono";
import type { BlankEnv } from "hono/types";
import type { z } from "zod";
import type { ErrorCode } from "../../src/core/errors.ts";
import { BODY_LIMITS, type BodyLimits, readJson } from "../middleware/body.ts";
import { errorResponses } from "./error_responses.ts";
import { headerRefs } from "./response_headers.ts";
import { memoryLease } from "../middleware/memory_budget.ts";
import { invalidValue, parse } from "../middleware/validation.ts";

/** A route, all that is to be known of it; `responses` are those that its handler returns. */
export interface ApiRoute extends RouteConfig {
  /** Its name for generated clients. */
  operationId: string;
  /** The resource, one of the document's. */
  tags: string[];
  summary: string;
  description: string;
  /** What it throws, itself or by what it calls; a bug's `internal_error` goes without saying. */
  errors: readonly ErrorCode[];
  /** The path as Hono takes it, where it differs from `path`, as in `/models/:id{[^]+}`. */
  pattern?: string;
}

/** Keeps a route's types, for its handler. */
export function defineRoute<const R extends ApiRoute>(route: R): R {
  return route;
}

/** What a route takes as JSON. */
export function jsonBody<T extends z.ZodType>(schema: T, description: string) {
  return { required: true, description, content: { "application/json": { schema } } };
}

/** What a route answers as JSON. */
export function jsonResponse<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } };
}

/** Routes of one resource. */
export class ApiRoutes extends OpenAPIHono<BlankEnv> {
  readonly #body: BodyLimits;

  /** @param body Bounds of request bodies, for routes that take one. */
  constructor(body: BodyLimits = BODY_LIMITS) {
    super({
      defaultHook: (result) => {
        if (!result.success) throw invalidValue(result.error.issues);
      },
    });
    this.#body = body;
  }

  /**
   * Documents and serves a route. Its handler finds what was checked by `c.req.valid("json")`, and
   * `"param"`, `"query"`, `"header"` in the same way; whatever fails is thrown as `invalid_value`.
   */
  handle<R extends ApiRoute>(declared: R, handler: RouteHandler<R>): this {
    const { errors, pattern, ...route }: ApiRoute = declared;
    const own = Object.entries(route.responses).map(([status, response]) => [
      status,
      { ...response, headers: { ...headerRefs("x-request-id"), ...headersIn(response) } },
    ]);
    const responses = { ...Object.fromEntries(own), ...errorResponses(errors) };
    this.openAPIRegistry.registerPath({ ...route, responses });
    // Bodies are read here: the library's own reader has no bound, and insists on a content type.
    const { body, ...request } = route.request ?? {};
    const json = body?.content["application/json"];
    const schema = json && "schema" in json ? json.schema : undefined;
    this.openapi(
      {
        method: route.method,
        path: pattern ?? route.path,
        request,
        responses: {},
        middleware: isZod(schema) ? [this.#takeJson(schema)] : [],
        hide: true,
      },
      handler as unknown as Handler,
    );
    return this;
  }

  #takeJson(schema: z.ZodType<object>): MiddlewareHandler {
    return async (c: Context, next) => {
      const bounds = { ...this.#body, memory: memoryLease(c) };
      const body = await readJson(c.req.raw, bounds, (json) => parse(schema, json));
      c.req.addValidatedData("json", body);
      await next();
    };
  }
}

function isZod(schema: unknown): schema is z.ZodType<object> {
  return typeof schema === "object" && schema !== null && "safeParse" in schema;
}

function headersIn(response: object): object {
  return "headers" in response ? response.headers as object : {};
}

/**
 * Declaration of routes. The zod schemas of a route validate its requests, type its responses, and
 * generate the OpenAPI document.
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

/** The declaration of a route. `responses` contains the responses of its handler. */
export interface ApiRoute extends RouteConfig {
  /** Method name in generated clients. */
  operationId: string;
  /** The resource, one of the document's tags. */
  tags: string[];
  summary: string;
  description: string;
  /** All errors that the route may throw, except `internal_error`. */
  errors: readonly ErrorCode[];
  /** The path pattern for Hono, if it differs from `path`, as in `/models/:id{[^]+}`. */
  pattern?: string;
}

/** Returns the declaration with its literal types, which type the handler. */
export function defineRoute<const R extends ApiRoute>(route: R): R {
  return route;
}

/** Declares a JSON request body. */
export function jsonBody<T extends z.ZodType>(schema: T, description: string) {
  return { required: true, description, content: { "application/json": { schema } } };
}

/** Declares a JSON response. */
export function jsonResponse<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } };
}

/** The routes of one resource. */
export class ApiRoutes extends OpenAPIHono<BlankEnv> {
  readonly #body: BodyLimits;

  /** @param body Limits of request bodies. */
  constructor(body: BodyLimits = BODY_LIMITS) {
    super({
      defaultHook: (result) => {
        if (!result.success) throw invalidValue(result.error.issues);
      },
    });
    this.#body = body;
  }

  /**
   * Registers a route and documents it. The handler gets validated data from `c.req.valid("json")`,
   * or with `"param"`, `"query"` or `"header"`. Invalid data is rejected with `invalid_value`.
   */
  handle<R extends ApiRoute>(declared: R, handler: RouteHandler<R>): this {
    const { errors, pattern, ...route }: ApiRoute = declared;
    const own = Object.entries(route.responses).map(([status, response]) => [
      status,
      { ...response, headers: { ...headerRefs("x-request-id"), ...headersIn(response) } },
    ]);
    const responses = { ...Object.fromEntries(own), ...errorResponses(errors) };
    this.openAPIRegistry.registerPath({ ...route, responses });
    // The library's own body reader has no size limit and requires a content type.
    const { body, ...request } = route.request ?? {};
    const json = body?.content["application/json"];
    const schema = json && "schema" in json ? json.schema : undefined;
    this.openapi(
      {
        method: route.method,
        path: pattern ?? route.path,
        request,
        responses: {},
        middleware: isZod(schema) ? [this.#validateJson(schema)] : [],
        hide: true,
      },
      handler as unknown as Handler,
    );
    return this;
  }

  #validateJson(schema: z.ZodType<object>): MiddlewareHandler {
    return async (c: Context, next) => {
      const options = { ...this.#body, memory: memoryLease(c) };
      const body = await readJson(c.req.raw, options, (json) => parse(schema, json));
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

/** The HTTP application: mounts the middleware and the routes of every resource. */

import type { Hono } from "hono";
import { requestId } from "hono/request-id";
import { NO_AUTH } from "../src/access/key_auth.ts";
import { authenticate, callerOf } from "./middleware/authentication.ts";
import { type ObservedRequest, observeResponses } from "./middleware/request_observer.ts";
import { BODY_LIMITS } from "./middleware/body.ts";
import { chatRoutes } from "./chat/chat.ts";
import { completionRoutes } from "./completions/completions.ts";
import { conversationRoutes } from "./conversations/conversations.ts";
import { handleError, type Log, notFound, rejectOtherMethods } from "./middleware/errors.ts";
import { KEEP_ALIVE_MS, STALLED_READ_TIMEOUT_MS } from "./generation/event_stream.ts";
import { originGuard } from "./middleware/guard.ts";
import { healthRoutes } from "./system/health.ts";
import { attachAccounts, countRequests, rateLimitHeaders } from "./middleware/rate_limits.ts";
import { metricsRoutes, type MetricsSource } from "./system/metrics.ts";
import { LargeBodyQueue } from "./middleware/large_bodies.ts";
import { modelRoutes } from "./models/models.ts";
import { ApiRoutes } from "./openapi/openapi.ts";
import { buildDocument, documentRoutes, type OpenApiDocument } from "./openapi/openapi_document.ts";
import { pageRoutes } from "./page/page.ts";
import { docsPageRoutes } from "./openapi/docs_page.ts";
import { responseRoutes } from "./responses/responses.ts";
import { leaseMemory, MemoryBudget } from "./middleware/memory_budget.ts";
import type { RouteOptions } from "./route_options.ts";
import { securityHeaders } from "./middleware/security_headers.ts";
import { stateRoutes } from "./states/states.ts";
import { tokenRoutes } from "./models/tokenize.ts";
import { waitUntilReady, type WorkerStatus } from "./worker.ts";
import type { AccountApi, AuthPolicy, Caller } from "../src/access/access_api.ts";

/** Dependencies and limits of the application. */
export interface AppOptions {
  /** The worker that runs the model, ready or not. */
  worker: WorkerStatus;
  /** Authenticates requests. By default, every request belongs to the default tenant. */
  auth?: AuthPolicy | undefined;
  /** Opens the account of a caller. By default, no limits apply. */
  openAccount?: ((caller: Caller) => AccountApi) | undefined;
  /** Receives errors whose details are not sent to clients. */
  log?: Log | undefined;
  /** Maximum size of a request body in bytes. */
  maxBodyBytes?: number | undefined;
  /** Maximum time between two chunks of a request body. */
  stalledBodyTimeoutMs?: number | undefined;
  /** A stream is closed if its client reads nothing for this time although data is pending. */
  stalledReadTimeoutMs?: number | undefined;
  /** A stream sends a comment after this time without an event. */
  keepAliveMs?: number | undefined;
  /** Web origins that may call the API. By default, only the worker's own. */
  allowedOrigins?: readonly string[] | undefined;
  /** Whether the worker serves only this machine and requires no key. By default, it does not. */
  localOnly?: (() => boolean | Promise<boolean>) | undefined;
  /** How long a request waits for a starting worker. */
  readyTimeoutMs?: number | undefined;
  /** Source of `/metrics`. By default, the route does not exist. */
  metrics?: MetricsSource | undefined;
  /** Bearer token of `/metrics`. Without one, the route works only where no API keys are required. */
  metricsToken?: string | undefined;
  /** Called after every response. */
  onResponse?: ((request: ObservedRequest) => void) | undefined;
}

/** Memory for all concurrent requests, as a number of bodies of the maximum size. */
const MAX_BUFFERED_BODIES = 32;

/** Routes that generate text. Their responses carry rate limit headers. */
const GENERATION_PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/responses"];

/** Creates the whole HTTP API with its OpenAPI document and its pages. */
export function createApp(options: AppOptions): Hono {
  const { worker, readyTimeoutMs: timeoutMs = 30_000, auth = NO_AUTH } = options;
  const log = options.log ?? console.error;
  const maxBytes = options.maxBodyBytes ?? BODY_LIMITS.maxBytes;
  const routes: RouteOptions = {
    sessions: async (c) => {
      const { tenant } = callerOf(c);
      return (await waitUntilReady(worker, { timeoutMs, signal: c.req.raw.signal })).forTenant(
        tenant,
      );
    },
    body: {
      largeBodies: new LargeBodyQueue(),
      maxBytes,
      stallTimeoutMs: options.stalledBodyTimeoutMs ?? BODY_LIMITS.stallTimeoutMs,
    },
    stalledReadTimeoutMs: options.stalledReadTimeoutMs ?? STALLED_READ_TIMEOUT_MS,
    keepAliveMs: options.keepAliveMs ?? KEEP_ALIVE_MS,
    log,
  };
  const app = new ApiRoutes();
  let document: OpenApiDocument | undefined;
  const getDocument = () => document ??= buildDocument(app);
  if (options.onResponse) app.use(observeResponses(options.onResponse));
  app.use(requestId({ generator: () => `req_${crypto.randomUUID()}` }));
  app.use(securityHeaders());
  app.use(
    ...originGuard({
      allowedOrigins: options.allowedOrigins ?? [],
      localOnly: options.localOnly ?? (() => false),
    }),
  );
  app.onError(handleError(log));
  app.notFound(notFound);
  app.route("/", pageRoutes());
  app.route("/", healthRoutes(worker));
  const { metrics, metricsToken: token } = options;
  if (metrics) app.route("/", metricsRoutes(metrics, { auth, token }));
  app.route("/", documentRoutes(getDocument));
  app.route("/", docsPageRoutes(getDocument));
  app.use(
    "/v1/*",
    authenticate(auth),
    leaseMemory(new MemoryBudget(MAX_BUFFERED_BODIES * maxBytes)),
  );
  if (options.openAccount) {
    app.use("/v1/*", attachAccounts(options.openAccount));
    app.on("POST", GENERATION_PATHS, rateLimitHeaders());
    app.use("/v1/*", countRequests());
  }
  app.route("/v1", chatRoutes(routes));
  app.route("/v1", completionRoutes(routes));
  app.route("/v1", conversationRoutes(routes));
  app.route("/v1", modelRoutes(routes));
  app.route("/v1", responseRoutes(routes));
  app.route("/v1", stateRoutes(routes));
  app.route("/v1", tokenRoutes(routes));
  rejectOtherMethods(app);
  return app;
}

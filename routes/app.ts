/** The HTTP application: composes resources, and owns what all responses have in common. */

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

/** What the application serves, and within what bounds. */
export interface AppOptions {
  /** The worker that it speaks for, ready or not. */
  worker: WorkerStatus;
  /** Who may ask, and as whom; everybody, as the default tenant, unless given. */
  auth?: AuthPolicy | undefined;
  /** Opens the account of a caller; no limits apply unless given. */
  openAccount?: ((caller: Caller) => AccountApi) | undefined;
  /** Called with what clients are not told. */
  log?: Log | undefined;
  /** Bytes of a request body at most. */
  maxBodyBytes?: number | undefined;
  /** Milliseconds between pieces of a request body at most. */
  stalledBodyTimeoutMs?: number | undefined;
  /** Milliseconds for which a client may read nothing of a stream that has something for it. */
  stalledReadTimeoutMs?: number | undefined;
  /** Milliseconds without an event after which a stream sends a comment. */
  keepAliveMs?: number | undefined;
  /** Origins whose pages may call; none but the worker's own unless given. */
  allowedOrigins?: readonly string[] | undefined;
  /** Whether it is for this machine alone, and asks nobody for a key; not unless given. */
  localOnly?: (() => boolean | Promise<boolean>) | undefined;
  /** Milliseconds that a request waits for a worker that starts. */
  readyTimeoutMs?: number | undefined;
  /** What `/metrics` tells; there is none unless given. */
  metrics?: MetricsSource | undefined;
  /** What `/metrics` is told for; without one, it is told only where no keys are needed. */
  metricsToken?: string | undefined;
  /** Told of every request that is answered. */
  onResponse?: ((answered: ObservedRequest) => void) | undefined;
}

/** What requests may hold of memory together, in bodies of the largest size. */
const BODIES = 32;

/** Routes that let the model work; their answers tell what is left of the limits. */
const GENERATING = ["/v1/chat/completions", "/v1/completions", "/v1/responses"];

/** The whole HTTP API, its document and its pages. Its `fetch` takes requests. */
export function createApp(options: AppOptions): Hono {
  const { worker, readyTimeoutMs: timeout = 30_000, auth: gate = NO_AUTH } = options;
  const log = options.log ?? console.error;
  const bytes = options.maxBodyBytes ?? BODY_LIMITS.maxBytes;
  const routes: RouteOptions = {
    sessions: async (c) => {
      const { tenant } = callerOf(c);
      return (await waitUntilReady(worker, { timeoutMs: timeout, signal: c.req.raw.signal })).of(
        tenant,
      );
    },
    body: {
      largeBodies: new LargeBodyQueue(),
      maxBytes: bytes,
      stallTimeoutMs: options.stalledBodyTimeoutMs ?? BODY_LIMITS.stallTimeoutMs,
    },
    stalledReadTimeoutMs: options.stalledReadTimeoutMs ?? STALLED_READ_TIMEOUT_MS,
    keepAliveMs: options.keepAliveMs ?? KEEP_ALIVE_MS,
    log,
  };
  const app = new ApiRoutes();
  let document: OpenApiDocument | undefined;
  const describe = () => document ??= buildDocument(app);
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
  if (metrics) app.route("/", metricsRoutes(metrics, { gate, token }));
  app.route("/", documentRoutes(describe));
  app.route("/", docsPageRoutes(describe));
  app.use("/v1/*", authenticate(gate), leaseMemory(new MemoryBudget(BODIES * bytes)));
  if (options.openAccount) {
    app.use("/v1/*", attachAccounts(options.openAccount));
    app.on("POST", GENERATING, rateLimitHeaders());
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

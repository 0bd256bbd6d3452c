/** The HTTP application: composes resources, and owns what all responses have in common. */

import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { chatRoutes } from "./chat.ts";
import { conversationRoutes } from "./conversations.ts";
import { handleError, type Log, notFound } from "./errors.ts";
import { healthRoutes } from "./health.ts";
import { modelRoutes } from "./models.ts";
import { pageRoutes } from "./page.ts";
import type { RouteOptions } from "./route_options.ts";
import { stateRoutes } from "./states.ts";
import { readySessions, type WorkerStatus } from "./worker.ts";

export interface AppOptions {
  worker: WorkerStatus;
  /** Called with what clients are not told. */
  log?: Log | undefined;
  /** Bytes of a request body at most. */
  bodyLimit?: number | undefined;
  /** Milliseconds that a request waits for a worker that starts. */
  readyTimeout?: number | undefined;
}

export function createApp(options: AppOptions): Hono {
  const { worker, readyTimeout: timeout = 30_000 } = options;
  const log = options.log ?? console.error;
  const routes: RouteOptions = {
    sessions: (signal) => readySessions(worker, { timeout, signal }),
    bodyLimit: options.bodyLimit ?? 8 * 1024 * 1024,
    log,
  };
  return new Hono()
    .use(requestId({ generator: () => `req_${crypto.randomUUID()}` }))
    .onError(handleError(log))
    .notFound(notFound)
    .route("/", pageRoutes())
    .route("/", healthRoutes(worker))
    .route("/v1", chatRoutes(routes))
    .route("/v1", conversationRoutes(routes))
    .route("/v1", modelRoutes(routes))
    .route("/v1", stateRoutes(routes));
}

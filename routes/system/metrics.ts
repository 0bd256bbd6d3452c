/** `GET /metrics`, for Prometheus. */

import { z } from "@hono/zod-openapi";
import { invalidKey } from "../../src/access/key_auth.ts";
import { hasToken } from "../../src/access/metrics_token.ts";
import { ApiRoutes, defineRoute } from "../openapi/openapi.ts";
import type { AuthPolicy } from "../../src/access/access_api.ts";

/** Source of the metrics text. */
export interface MetricsSource {
  /** The media type of the text. */
  contentType: string;
  /** Returns the current metrics. */
  text(): Promise<string>;
}

const getMetrics = defineRoute({
  method: "get",
  path: "/metrics",
  operationId: "getMetrics",
  tags: ["Worker"],
  summary: "Get the worker's metrics",
  description:
    "Metrics in the Prometheus text format. Names begin with `rwkv:` and follow vLLM's where an " +
    "equivalent exists. A worker that requires API keys or has a metrics token requires that " +
    "token as bearer token.",
  responses: {
    200: {
      description: "Counters, gauges and histograms.",
      content: {
        "text/plain": {
          schema: z.string().openapi({ description: "Lines of metrics." }),
          example: "# TYPE rwkv:num_requests_running gauge\nrwkv:num_requests_running 2\n",
        },
      },
    },
  },
  errors: ["invalid_api_key", "store_unavailable"],
});

export function metricsRoutes(
  metrics: MetricsSource,
  { auth, token }: { auth: AuthPolicy; token: string | undefined },
): ApiRoutes {
  return new ApiRoutes().handle(getMetrics, async (c) => {
    const authorization = c.req.header("authorization");
    const isAuthorized = token === undefined
      ? !await auth.keysRequired()
      : await hasToken(authorization, token);
    if (!isAuthorized) throw invalidKey();
    return c.text(await metrics.text(), 200, { "content-type": metrics.contentType });
  });
}

/** `GET /metrics`, for Prometheus. */

import { z } from "@hono/zod-openapi";
import { invalidKey } from "../../src/access/key_auth.ts";
import { hasToken } from "../../src/access/metrics_token.ts";
import { ApiRoutes, defineRoute } from "../openapi/openapi.ts";
import type { AuthPolicy } from "../../src/access/access_api.ts";

/** What is told of the worker in numbers. */
export interface MetricsSource {
  /** Its media type. */
  contentType: string;
  /** As it stands now. */
  text(): Promise<string>;
}

const getMetrics = defineRoute({
  method: "get",
  path: "/metrics",
  operationId: "getMetrics",
  tags: ["Worker"],
  summary: "The worker in numbers",
  description:
    "For Prometheus, in its text format: names begin with `rwkv:`, and are vLLM's where " +
    "there is the same thing to tell. A worker that wants keys, or has a token for this, tells " +
    "it for that token alone.",
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
  { gate, token }: { gate: AuthPolicy; token: string | undefined },
): ApiRoutes {
  return new ApiRoutes().handle(getMetrics, async (c) => {
    const authorization = c.req.header("authorization");
    const may = token === undefined
      ? !await gate.keysRequired()
      : await hasToken(authorization, token);
    if (!may) throw invalidKey();
    return c.text(await metrics.text(), 200, { "content-type": metrics.contentType });
  });
}

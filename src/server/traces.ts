/**
 * Records turns as OpenTelemetry spans. With `OTEL_DENO=true`, Deno exports them together with the
 * spans of their requests. Otherwise they cost nothing.
 */

import { type Context, SpanStatusCode, trace } from "@opentelemetry/api";
import type { TurnMetrics } from "../core/telemetry.ts";

const tracer = trace.getTracer("rwkv");

/**
 * Records the span of a turn.
 *
 * @param request The context of the turn's HTTP request.
 */
export function recordTurnSpan(turn: TurnMetrics, request: Context): void {
  const endTime = Date.now();
  const attributes = {
    "rwkv.outcome": turn.outcome,
    "rwkv.prompt_tokens": turn.promptTokens,
    "rwkv.cached_tokens": turn.cachedTokens,
    "rwkv.written_tokens": turn.completionTokens,
  };
  const startTime = endTime - 1000 * turn.seconds;
  const span = tracer.startSpan("turn", { startTime, attributes }, request);
  if (turn.outcome === "error") span.setStatus({ code: SpanStatusCode.ERROR });
  const turnContext = trace.setSpan(request, span);
  for (const { name, startMs, endMs } of turn.phases) {
    tracer.startSpan(name, { startTime: startMs }, turnContext).end(endMs);
  }
  span.end(endTime);
}

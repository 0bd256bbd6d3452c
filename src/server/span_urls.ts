/**
 * Removes URLs from spans. Deno adds the URL of each request, and URLs contain ids that can resume
 * a conversation. Deno has no option for that, and OpenTelemetry cannot unset an attribute, so
 * `setAttribute` is patched to ignore them. `http.route` still identifies the request.
 */

import { type Span, trace } from "@opentelemetry/api";

const LEFT_OUT: readonly string[] = ["url.full", "url.path", "url.query"];

/** Patches all spans of this thread from now on. */
export function redactSpanUrls(): void {
  // This span is never ended, so it is never exported.
  const span = trace.getTracer("rwkv").startSpan("first");
  if (!span.isRecording()) return;
  const prototype: Span = Object.getPrototypeOf(span);
  const { setAttribute } = prototype;
  prototype.setAttribute = function (this: Span, key, value) {
    return LEFT_OUT.includes(key) ? this : setAttribute.call(this, key, value);
  };
}

/**
 * Keeps URLs out of spans. Deno tells the URL of each request, with ids in it that resume
 * conversations. Nothing configures that, and an attribute that is set can't be taken back, so what
 * sets them is told to leave these out; `http.route` says which request it was.
 */

import { type Span, trace } from "@opentelemetry/api";

const LEFT_OUT: readonly string[] = ["url.full", "url.path", "url.query"];

/** For all spans of this thread, from now on. */
export function redactSpanUrls(): void {
  // Never ended, and so never sent.
  const span = trace.getTracer("rwkv").startSpan("first");
  if (!span.isRecording()) return;
  const prototype: Span = Object.getPrototypeOf(span);
  const { setAttribute } = prototype;
  prototype.setAttribute = function (this: Span, key, value) {
    return LEFT_OUT.includes(key) ? this : setAttribute.call(this, key, value);
  };
}

/** An OpenTelemetry collector on the loopback interface. */

export interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: { stringValue?: string } }[];
}

/** Receives OTLP over HTTP with JSON. */
export function collector() {
  const spans: Span[] = [];
  let received = "";
  let nextArrival = Promise.withResolvers<void>();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const text = await request.text();
      received += text;
      const { resourceSpans = [] } = JSON.parse(text);
      for (const { scopeSpans } of resourceSpans) {
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      nextArrival.resolve();
      nextArrival = Promise.withResolvers();
      return Response.json({});
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  return {
    url,
    /** Environment that makes a worker export to this collector with little delay. */
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_METRICS_EXPORTER: "none",
      OTEL_LOGS_EXPORTER: "none",
      OTEL_DENO_CONSOLE: "ignore",
    },
    /** Returns the spans of a trace once it has spans with all of these names. */
    async of(traceId: string, names: readonly string[]): Promise<Span[]> {
      while (true) {
        const found = spans.filter((span) => span.traceId === traceId);
        if (names.every((name) => found.some((span) => span.name === name))) return found;
        await nextArrival.promise;
      }
    },
    /** All received bodies. */
    received: () => received,
    close: () => server.shutdown(),
  };
}

/** The engine's Worker, extended to answer heap usage requests: messages that are a port. */

import { replyWithHeapUsage } from "./heap_usage.ts";

self.addEventListener("message", (event) => {
  if (replyWithHeapUsage(event as MessageEvent)) event.stopImmediatePropagation();
});

// Imported after the listener is added, so that the listener sees each message first.
await import("../src/server/engine_worker.ts");

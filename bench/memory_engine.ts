/** The engine's Worker, with an ear for who asks what it holds: a message that is a port. */

import { replyWithHeapUsage } from "./heap_usage.ts";

self.addEventListener("message", (event) => {
  if (replyWithHeapUsage(event as MessageEvent)) event.stopImmediatePropagation();
});

// After the listener, which so hears first.
await import("../src/server/engine_worker.ts");

/** The engine's Worker, with an ear for who asks what it holds: a message that is a port. */

import { answersCollected } from "./collected.ts";

self.addEventListener("message", (event) => {
  if (answersCollected(event as MessageEvent)) event.stopImmediatePropagation();
});

// After the listener, which so hears first.
await import("../src/server/engine_worker.ts");

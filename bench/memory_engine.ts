/** The engine's Worker, with an ear for who asks what it holds: a message that is a port. */

import { collected } from "./collected.ts";

self.addEventListener("message", (event) => {
  const { data } = event as MessageEvent;
  if (!(data instanceof MessagePort)) return;
  event.stopImmediatePropagation();
  collected().then((memory) => data.postMessage(memory));
});

// After the listener, which so hears first.
await import("../src/cli/engine_worker.ts");

/// <reference lib="deno.worker" />
/** Requests `/ping` repeatedly from its own thread and records the slowest response time. */

/**
 * Starts the probe. Every later message is answered with the slowest time since the previous one.
 */
export interface ProbeRequest {
  url: string;
}

let slowest = 0;
let requestedAt = 0;

self.onmessage = ({ data }: MessageEvent<ProbeRequest>) => {
  if (data?.url) void probe(data.url);
  else {
    self.postMessage(Math.max(slowest, requestedAt && performance.now() - requestedAt));
    slowest = 0;
  }
};

async function probe(url: string): Promise<void> {
  while (true) {
    requestedAt = performance.now();
    await (await fetch(`${url}/ping`)).arrayBuffer();
    slowest = Math.max(slowest, performance.now() - requestedAt);
    requestedAt = 0;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

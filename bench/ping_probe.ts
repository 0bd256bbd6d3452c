/// <reference lib="deno.worker" />
/** Asks `/ping` again and again from a thread of its own, and keeps the slowest answer's time. */

/** Sent once; every later message is answered by the milliseconds since the last one. */
export interface ProbeRequest {
  url: string;
}

let slowest = 0;
let asked = 0;

self.onmessage = ({ data }: MessageEvent<ProbeRequest>) => {
  if (data?.url) void probe(data.url);
  else {
    self.postMessage(Math.max(slowest, asked && performance.now() - asked));
    slowest = 0;
  }
};

async function probe(url: string): Promise<void> {
  while (true) {
    asked = performance.now();
    await (await fetch(`${url}/ping`)).arrayBuffer();
    slowest = Math.max(slowest, performance.now() - asked);
    asked = 0;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

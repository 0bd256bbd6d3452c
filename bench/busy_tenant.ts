/// <reference lib="deno.worker" />
/** A tenant that keeps a fixed number of long generation requests running, in its own thread. */

/** The requests to keep running. */
export interface BusyTenant {
  url: string;
  key: string;
  requests: number;
  choices: number;
}

self.onmessage = ({ data }: MessageEvent<BusyTenant>) => {
  for (let i = 0; i < data.requests; i++) void sendForever(data);
};

async function sendForever({ url, key, choices: n }: BusyTenant): Promise<void> {
  while (true) {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({
        messages: [{ role: "user", content: "Tell me a story." }],
        n,
        max_tokens: 32_768,
        // Token ids of end of text, of a newline and of the demo model's newline.
        logit_bias: { "0": -100, "1": -100, "12": -100 },
        stream: true,
      }),
    });
    for await (const _ of response.body!);
    if (!response.ok) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

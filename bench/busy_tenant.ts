/// <reference lib="deno.worker" />
/** A tenant that keeps requests for long replies going, from a thread of its own. */

/** What is kept going. */
export interface BusyTenant {
  url: string;
  key: string;
  requests: number;
  choices: number;
}

self.onmessage = ({ data }: MessageEvent<BusyTenant>) => {
  for (let i = 0; i < data.requests; i++) void keepGoing(data);
};

async function keepGoing({ url, key, choices: n }: BusyTenant): Promise<void> {
  while (true) {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({
        messages: [{ role: "user", content: "Tell me a story." }],
        n,
        max_tokens: 32_768,
        // End of text, a newline and what the demo model has in its place.
        logit_bias: { "0": -100, "1": -100, "12": -100 },
        stream: true,
      }),
    });
    for await (const _ of response.body!);
    if (!response.ok) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

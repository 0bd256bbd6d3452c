/**
 * `deno task bench:stalls`: latency of `/ping` during the most expensive requests that a client may
 * send.
 *
 * Flags: `--only TEXT` (names that contain it), `--json`. Runs the demo model on the CPU engine.
 * Exits with status 0 if no response took more than 100 ms.
 */

import { parseArgs } from "node:util";
import { measuredWorker } from "./measured_worker.ts";
import type { ProbeRequest } from "./ping_probe.ts";
import { type WorstRequest, worstRequests } from "./worst_requests.ts";

const MAX_PING_MS = 100;

const { values: flags } = parseArgs({
  options: { only: { type: "string" }, json: { type: "boolean" } },
});

const worker = await measuredWorker(["--device", "cpu", "--kv", `${await Deno.makeTempDir()}/db`]);
const probe = new Worker(new URL("./ping_probe.ts", import.meta.url), { type: "module" });
probe.postMessage({ url: worker.url } satisfies ProbeRequest);

/** Returns the milliseconds of the slowest `/ping` since the previous call. */
async function slowestPing(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  probe.onmessage = ({ data }) => resolve(data);
  probe.postMessage({});
  return await promise;
}

const rows: { request: string; status: number; seconds: number; ping_ms: number }[] = [];

async function measure(
  { name, path, method = "POST", body, followUps: next }: WorstRequest,
): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 200));
  await slowestPing();
  const start = performance.now();
  const response = await fetch(worker.url + path, { method, ...(body ? { body } : {}) });
  const responseBody = new Uint8Array(await response.arrayBuffer());
  const seconds = (performance.now() - start) / 1000;
  const ping = await slowestPing();
  rows.push({ request: name, status: response.status, seconds, ping_ms: ping });
  const errorText = response.ok ? "" : new TextDecoder().decode(responseBody.subarray(0, 160));
  console.error(
    `${ping.toFixed(0).padStart(6)} ms ${seconds.toFixed(2).padStart(7)} s  ` +
      `${response.status} ${name} (${responseBody.length} bytes) ${errorText}`,
  );
  if (!response.ok || next === undefined) return;
  for (const followUp of next(JSON.parse(new TextDecoder().decode(responseBody)))) {
    await measure(followUp);
  }
}

const models = await (await fetch(`${worker.url}/v1/models`)).json();
const fingerprint = models.data[0].fingerprint;
for (const request of await worstRequests(fingerprint)) {
  if (request.name.includes(flags.only ?? "")) await measure(request);
}
probe.terminate();
const slowest = Math.max(...rows.map(({ ping_ms }) => ping_ms));
const report = { bound_ms: MAX_PING_MS, slowest_ms: slowest, requests: rows };
if (flags.json) console.log(JSON.stringify(report));
else console.log(`slowest /ping: ${slowest.toFixed(0)} ms`);
await worker.stop();
Deno.exit(slowest <= MAX_PING_MS ? 0 : 1);

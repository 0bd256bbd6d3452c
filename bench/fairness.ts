/**
 * `deno task bench:fairness`: latency of one tenant's short chat completions while another tenant
 * saturates the worker.
 *
 * Flags: those that open a model, `--requests N` (64) that the busy tenant keeps running,
 * `--choices N` (16) of each, `--rounds N` (20), `--json`. Exits with status 0 if the median
 * latency is at most three times that of an idle worker.
 */

import { parseArgs } from "node:util";
import { summarize } from "../src/benchmark/cases.ts";
import { localWorker } from "./local_worker.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** Maximum ratio to the latency on an idle worker. */
const MAX_RATIO = 3;
const KEYS = { busy: "busy-tenants-key", short: "short-tenants-key" };

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    requests: { type: "string" },
    choices: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const requests = numberFlag(flags, "requests", { min: 1, max: 1000, integer: true }) ?? 64;
const choices = numberFlag(flags, "choices", { min: 1, max: 16, integer: true }) ?? 16;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 20;

const { engine, url, schedulerStats, exit } = await localWorker(flags, {
  RWKV_API_KEYS: `busy:${KEYS.busy},short:${KEYS.short}`,
});
const clients = new Worker(new URL("./busy_tenant.ts", import.meta.url), { type: "module" });

/** Returns the milliseconds that a short chat completion takes. */
async function shortChat(): Promise<number> {
  const start = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEYS.short}` },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], max_tokens: 10 }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`Short chat completion failed: ${response.status} ${text}`);
  return performance.now() - start;
}

async function measureLatency(): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    times.push(await shortChat());
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return times;
}

await measureLatency(); // warm-up
const idle = summarize(await measureLatency());
clients.postMessage({ url, key: KEYS.busy, requests, choices });
// Wait until all slots are in use and the other requests are queued.
for (let tries = 0; tries < 600 && schedulerStats().running < engine.info.slots; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await new Promise((resolve) => setTimeout(resolve, 2000));
const { running, waiting } = schedulerStats();
console.error(`  busy tenant: ${running} turns running, ${waiting} waiting`);
const loaded = summarize(await measureLatency());
const { preemptions: preempted } = schedulerStats();
clients.terminate();
const ratio = loaded.median / idle.median;
const report = {
  adapter: engine.info.adapter,
  requests,
  choices,
  running,
  waiting,
  preempted,
  alone_ms: idle,
  beside_ms: loaded,
  ratio,
  holds: ratio <= MAX_RATIO,
};
if (flags.json) console.log(JSON.stringify(report));
else console.log(`latency beside a busy tenant: ${ratio.toFixed(2)} times that of an idle worker`);
await exit(report.holds ? 0 : 1);

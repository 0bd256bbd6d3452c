/**
 * `deno task bench:fairness`: how long a tenant's short chat takes while another tenant keeps a worker
 * as busy as it can.
 *
 * Flags: those that open a model, `--requests N` (64) that the busy tenant keeps going, `--choices N`
 * (16) of each, `--rounds N` (20), `--json`. Exit 0 when the median is at most three times that of
 * the worker alone.
 */

import { parseArgs } from "node:util";
import { summarize } from "../src/benchmark/cases.ts";
import { localWorker } from "./local_worker.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** Times as long as alone, at most. */
const BOUND = 3;
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

const { engine, url, schedulerStats: numbers, exit } = await localWorker(flags, {
  RWKV_API_KEYS: `busy:${KEYS.busy},short:${KEYS.short}`,
});
const clients = new Worker(new URL("./busy_tenant.ts", import.meta.url), { type: "module" });

/** Milliseconds of a short chat. */
async function shortChat(): Promise<number> {
  const start = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEYS.short}` },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], max_tokens: 10 }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`a short chat failed: ${response.status} ${text}`);
  return performance.now() - start;
}

async function timeChats(): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    times.push(await shortChat());
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return times;
}

await timeChats(); // warms up
const alone = summarize(await timeChats());
clients.postMessage({ url, key: KEYS.busy, requests, choices });
// Until all slots are taken, and the others wait.
for (let tries = 0; tries < 600 && numbers().running < engine.info.slots; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await new Promise((resolve) => setTimeout(resolve, 2000));
const { running, waiting } = numbers();
console.error(`  ${running} turns of the busy tenant run and ${waiting} wait`);
const beside = summarize(await timeChats());
const { preemptions: preempted } = numbers();
clients.terminate();
const ratio = beside.median / alone.median;
const report = {
  adapter: engine.info.adapter,
  requests,
  choices,
  running,
  waiting,
  preempted,
  alone_ms: alone,
  beside_ms: beside,
  ratio,
  holds: ratio <= BOUND,
};
if (flags.json) console.log(JSON.stringify(report));
else console.log(`a short chat beside a busy tenant: ${ratio.toFixed(2)} times as long as alone`);
await exit(report.holds ? 0 : 1);

/**
 * `deno task bench:slow`: effect of many slow connections on the latency of other clients.
 *
 * Flags: those that open a model, `--connections N` (2000), `--requests N` (200 a phase), `--rounds
 * N` (3), `--json`. Times short chat completions, four at a time, alternately without and with the
 * slow connections. Exits with status 0 if no request fails and the p99 latency at most doubles, by
 * the median of the rounds.
 */

import { parseArgs } from "node:util";
import { summarize } from "../src/benchmark/cases.ts";
import { localWorker } from "./local_worker.ts";
import type { OpenConnections } from "./slow_connections.ts";
import { streamChat } from "./stream_client.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** Clients that send requests without a pause. */
const CLIENTS = 4;
/** Maximum ratio of the latencies with and without slow connections. */
const MAX_RATIO = 2;

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    connections: { type: "string" },
    requests: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
  },
});
const connections = numberFlag(flags, "connections", { min: 1, max: 1e5, integer: true }) ?? 2000;
const requests = numberFlag(flags, "requests", { min: 100, max: 1e6, integer: true }) ?? 200;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 100, integer: true }) ?? 3;

const { engine, url, exit } = await localWorker(flags);
const slowConnections = new Worker(new URL("./slow_connections.ts", import.meta.url), {
  type: "module",
});

/** Replaces the slow connections by `count` new ones; returns how many are open. */
async function openSlowConnections(count: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  slowConnections.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
  slowConnections.postMessage(
    { port: Number(new URL(url).port), connections: count } satisfies OpenConnections,
  );
  return await promise;
}

/** Returns the milliseconds of each request, sorted. */
async function timeRequests(): Promise<number[]> {
  const times: number[] = [];
  let remaining = requests;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (remaining-- > 0) {
      const start = performance.now();
      const { status, finishReason: finish } = await streamChat(url, {
        messages: [{ role: "user", content: "Hi, my name is Ada." }],
        max_tokens: 4,
        temperature: 0,
      });
      if (status !== 200 || finish === null) throw new Error(`Request failed: status ${status}`);
      times.push(performance.now() - start);
    }
  }));
  return times.sort((a, b) => a - b);
}

const p99 = (times: readonly number[]) => times[Math.floor(0.99 * times.length)];

await timeRequests(); // warm-up
const pairs: { without: number; beside: number }[] = [];
let fewestOpen = Infinity;
for (let round = 0; round < rounds; round++) {
  await openSlowConnections(0);
  const without = p99(await timeRequests());
  fewestOpen = Math.min(fewestOpen, await openSlowConnections(connections));
  const beside = p99(await timeRequests());
  fewestOpen = Math.min(fewestOpen, await openSlowConnections(connections));
  pairs.push({ without, beside });
  console.error(
    `  p99 ${without.toFixed(1)} ms without, ${
      beside.toFixed(1)
    } ms with ${fewestOpen} slow connections`,
  );
}
await openSlowConnections(0);
slowConnections.terminate();

const ratio = summarize(pairs.map(({ without, beside }) => beside / without));
const report = {
  adapter: engine.info.adapter,
  connections: fewestOpen,
  requests,
  without_p99_ms: summarize(pairs.map(({ without }) => without)),
  beside_p99_ms: summarize(pairs.map(({ beside }) => beside)),
  ratio,
  holds: ratio.median <= MAX_RATIO && fewestOpen >= connections,
};
if (flags.json) console.log(JSON.stringify(report));
else console.log(`p99 with ${fewestOpen} slow connections: ${ratio.median} times that without`);
await exit(report.holds ? 0 : 1);

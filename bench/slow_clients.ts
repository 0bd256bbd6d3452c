/**
 * `deno task bench:slow`: what many slow connections cost the other clients of a worker.
 *
 * Flags: those that open a model, `--connections N` (2000), `--requests N` (200 a phase), `--rounds N`
 * (3), `--json`. Short chat completions, four at a time, are timed in turns without and with the
 * slow connections. Exit 0 when none fails, and the slowest of a hundred takes at most twice as long,
 * in the median of the rounds.
 */

import { parseArgs } from "node:util";
import { summarize } from "../src/benchmark/cases.ts";
import { localWorker } from "./local_worker.ts";
import type { HoldRequest } from "./slow_connections.ts";
import { ask } from "./stream_client.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

/** Clients that ask without a pause. */
const CLIENTS = 4;
/** Times as long as without, at most. */
const BOUND = 2;

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
const holder = new Worker(new URL("./slow_connections.ts", import.meta.url), { type: "module" });

/** Opens so many slow connections in place of those before; how many there are then. */
async function hold(count: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  holder.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
  holder.postMessage({ port: Number(new URL(url).port), connections: count } satisfies HoldRequest);
  return await promise;
}

/** Milliseconds of each request. */
async function timeRequests(): Promise<number[]> {
  const times: number[] = [];
  let left = requests;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (left-- > 0) {
      const start = performance.now();
      const { status, finish } = await ask(url, {
        messages: [{ role: "user", content: "Hi, my name is Ada." }],
        max_tokens: 4,
        temperature: 0,
      });
      if (status !== 200 || finish === null) throw new Error(`a request failed: ${status}`);
      times.push(performance.now() - start);
    }
  }));
  return times.sort((a, b) => a - b);
}

const p99 = (times: readonly number[]) => times[Math.floor(0.99 * times.length)];

await timeRequests(); // warms up
const pairs: { without: number; beside: number }[] = [];
let least = Infinity;
for (let round = 0; round < rounds; round++) {
  await hold(0);
  const without = p99(await timeRequests());
  least = Math.min(least, await hold(connections));
  const beside = p99(await timeRequests());
  least = Math.min(least, await hold(connections));
  pairs.push({ without, beside });
  console.error(`  p99 ${without.toFixed(1)} ms without, ${beside.toFixed(1)} ms beside ${least}`);
}
await hold(0);
holder.terminate();

const ratio = summarize(pairs.map(({ without, beside }) => beside / without));
const report = {
  adapter: engine.info.adapter,
  connections: least,
  requests,
  without_p99_ms: summarize(pairs.map(({ without }) => without)),
  beside_p99_ms: summarize(pairs.map(({ beside }) => beside)),
  ratio,
  holds: ratio.median <= BOUND && least >= connections,
};
if (flags.json) console.log(JSON.stringify(report));
else console.log(`p99 beside ${least} slow connections: ${ratio.median} times that without`);
await exit(report.holds ? 0 : 1);

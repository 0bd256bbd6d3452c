/**
 * `deno task bench:memory`: what a worker still holds after thousands of requests of all kinds.
 *
 * Flags: those that open a model, `--requests N` (10,000), `--clients N` (16), `--json`. A worker in
 * a process of its own serves short conversations, resumed, streamed, left in the middle and
 * refused. After the first tenth, and after each further one, it is left alone and looked at: its
 * memory after a collection of garbage, its file descriptors, its counters against what was sent,
 * its log. Exit status 1 if one of the checks fails. Linux only.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { measuredWorker } from "./measured_worker.ts";
import { TALKS } from "./request_mix.ts";
import { endingBans } from "./stream_client.ts";
import { CountingClient } from "./counting_client.ts";
import { differences, ExpectedMetrics } from "./expected_metrics.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

const LOOKS = 10;

/** Memory that is held against the first look. */
const HELD = {
  rss: "resident memory",
  host: "live memory of the host",
  engine: "live memory of the engine",
};

/** MiB of states in memory: few, so that the first look finds as many as there ever are. */
const STATE_CACHE = 16;

/** What memory may grow by. */
const MOST = 1.05;

/** Bytes of the log in a day of one request a second, at most. */
const LOG_BYTES_A_DAY = 100e6;
const SECONDS_A_DAY = 24 * 3600;

const { values: flags } = parseArgs({
  options: {
    ...MODEL_FLAGS,
    requests: { type: "string" },
    clients: { type: "string" },
    json: { type: "boolean" },
  },
});
const requests = numberFlag(flags, "requests", { min: 100, max: 1e7, integer: true }) ?? 10_000;
const clients = numberFlag(flags, "clients", { min: 1, max: 64, integer: true }) ?? 16;
const folder = await Deno.makeTempDir();
const given = Object.entries(flags).flatMap(([name, value]) => {
  return Object.hasOwn(MODEL_FLAGS, name) ? [`--${name}`, String(value)] : [];
});
const worker = await measuredWorker([
  ...given,
  "--kv",
  `${folder}/states.sqlite3`,
  "--state-cache",
  String(STATE_CACHE),
]);
const tally = new ExpectedMetrics();
const bans = endingBans(await openModelTokenizer(await findModel(flags)));
const client = new CountingClient(worker.url, tally, bans);
const failures: string[] = [];
const checks: { what: string; figure: string; holds: boolean }[] = [];
const { adapter, device, model, quant } = await client.send("GET", "/health");

const began = performance.now();
const looks: Awaited<ReturnType<typeof look>>[] = [];
let talks = 0;
for (let i = 1; i <= LOOKS; i++) {
  await load(i * requests / LOOKS);
  looks.push(await look());
}
const seconds = Math.round((performance.now() - began) / 1000);
// The request that asks is not among those that it is told of.
const expected = tally.expected();
const miscounted = differences(await client.send("GET", "/metrics"), expected);
client.disconnect();
const code = await worker.stop();
await Deno.remove(folder, { recursive: true });

const [first, last] = [looks[0], looks[looks.length - 1]];
const { log } = worker;
const bytesPerRequest = log.bytes / log.requests;
const others = log.others.filter((line) => !/"message":"(Stopping|Stopped)"/.test(line));
check("answers other than they must be", listed(failures), failures.length === 0);
for (const [name, what] of Object.entries(HELD)) {
  const [before, after] = [first, last].map((held) => held[name as keyof typeof HELD]);
  const ratio = after / before;
  const figure = `${megabytes(after)}, ${megabytes(before)}, ratio ${ratio.toFixed(3)}`;
  check(
    `${what} within 5 % of what it was after ${first.requests} requests`,
    figure,
    ratio <= MOST,
  );
}
const leaked = more(first.descriptors, last.descriptors);
check("file descriptors that were not there before", listed(leaked), leaked.length === 0);
check("counters that differ from what was sent", listed(miscounted), miscounted.length === 0);
check("lines of the log that tell of no request", listed(others), others.length === 0);
check("exit status after SIGTERM", String(code), code === 0);
check(
  "log of a day at one request a second below 100 MB",
  `${megabytes(bytesPerRequest * SECONDS_A_DAY)}, ${
    roundToFourDigits(bytesPerRequest)
  } bytes a request`,
  bytesPerRequest * SECONDS_A_DAY < LOG_BYTES_A_DAY,
);
if (flags.json) {
  console.log(JSON.stringify({
    device,
    adapter,
    model,
    quant,
    clients,
    seconds,
    requests: tally.requests,
    looks: looks.map(({ descriptors, ...rest }) => ({ ...rest, descriptors: descriptors.length })),
    log: {
      bytes_per_request: bytesPerRequest,
      bytes_per_day_at_1_per_second: Math.round(bytesPerRequest * SECONDS_A_DAY),
    },
    checks,
  }));
} else {
  for (const { what, figure, holds } of checks) {
    console.log(`${holds ? "holds" : "FAILS"}  ${what}: ${figure}`);
  }
}
Deno.exit(checks.every(({ holds }) => holds) ? 0 : 1);

/** Lets clients talk until so many requests have been sent since the beginning. */
async function load(until: number): Promise<void> {
  await Promise.all(Array.from({ length: clients }, async () => {
    while (tally.requests < until) {
      const talk = talks++;
      try {
        await TALKS[talk % TALKS.length](client, `guest${talk}`);
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
  }));
}

/** Waits until nothing is under way, and looks at what the worker holds. */
async function look() {
  for (let tries = 0; tries < 100; tries++) {
    const metrics = await client.send("GET", "/metrics");
    const busy = /^rwkv:num_requests_(running|waiting) [1-9]/m.test(metrics);
    if (!busy) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.tallyLeft();
  client.disconnect();
  const { rss, host, engine } = await worker.memory();
  const descriptors = worker.descriptors();
  const held = {
    requests: tally.requests,
    rss,
    host: host.heapUsed + host.external,
    engine: engine.heapUsed + engine.external,
  };
  console.error(
    `  ${held.requests} requests: ${megabytes(rss)} resident, ${
      megabytes(held.host)
    } of the host, ` +
      `${megabytes(held.engine)} of the engine, ${descriptors.length} descriptors`,
  );
  return { ...held, descriptors };
}

function check(what: string, figure: string, holds: boolean): void {
  checks.push({ what, figure, holds });
}

/** Those of `after` that `before` has not, as often as they occur. */
function more(before: readonly string[], after: readonly string[]): string[] {
  const left = [...before];
  return after.filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** How many there are, and the first few. */
function listed(texts: readonly string[]): string {
  if (texts.length === 0) return "none";
  return [`${texts.length}`, ...texts.slice(0, 5)].join("; ");
}

function megabytes(bytes: number): string {
  return `${roundToFourDigits(bytes / 1e6)} MB`;
}

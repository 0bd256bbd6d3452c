/**
 * `deno task bench:memory`: memory, descriptors, metrics and log of a worker over thousands of
 * requests.
 *
 * Flags: those that open a model, `--requests N` (10,000), `--clients N` (16), `--json`. A worker
 * in its own process serves short conversations, some of them resumed, streamed, aborted or
 * rejected. After each tenth of the requests the worker becomes idle and is sampled: its memory
 * after a garbage collection, its file descriptors, its metrics against the requests sent, and its
 * log. Exits with status 1 if a check fails. Linux only.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits } from "../src/benchmark/cases.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { measuredWorker } from "./measured_worker.ts";
import { SCENARIOS } from "./request_mix.ts";
import { stopTokenBans } from "./stream_client.ts";
import { CountingClient } from "./counting_client.ts";
import { differences, ExpectedMetrics } from "./expected_metrics.ts";
import { numberFlag } from "../src/settings/flags.ts";
import { MODEL_FLAGS } from "../src/settings/settings.ts";

const SAMPLES = 10;

/** Kinds of memory that are compared with the first sample. */
const MEMORY_KINDS = {
  rss: "resident memory",
  host: "live heap of the main thread",
  engine: "live heap of the engine",
};

/** Size of the state cache, so small that it is full by the first sample. */
const STATE_CACHE_MIB = 16;

/** Maximum ratio of the last sample to the first. */
const MAX_GROWTH = 1.05;

/** Maximum size of a day's log at one request per second. */
const MAX_LOG_BYTES_PER_DAY = 100e6;
const SECONDS_PER_DAY = 24 * 3600;

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
const modelArgs = Object.entries(flags).flatMap(([name, value]) => {
  return Object.hasOwn(MODEL_FLAGS, name) ? [`--${name}`, String(value)] : [];
});
const worker = await measuredWorker([
  ...modelArgs,
  "--kv",
  `${folder}/states.sqlite3`,
  "--state-cache",
  String(STATE_CACHE_MIB),
]);
const expected = new ExpectedMetrics();
const bans = stopTokenBans(await openModelTokenizer(await findModel(flags)));
const client = new CountingClient(worker.url, expected, bans);
const failures: string[] = [];
const checks: { what: string; figure: string; holds: boolean }[] = [];
const { adapter, device, model, quant } = await client.send("GET", "/health");

const startedAt = performance.now();
const samples: Awaited<ReturnType<typeof takeSample>>[] = [];
let scenarios = 0;
for (let i = 1; i <= SAMPLES; i++) {
  await load(i * requests / SAMPLES);
  samples.push(await takeSample());
}
const seconds = Math.round((performance.now() - startedAt) / 1000);
// The metrics request does not count itself.
const expectedMetrics = expected.expected();
const miscounted = differences(await client.send("GET", "/metrics"), expectedMetrics);
client.disconnect();
const code = await worker.stop();
await Deno.remove(folder, { recursive: true });

const [first, last] = [samples[0], samples[samples.length - 1]];
const { log } = worker;
const bytesPerRequest = log.bytes / log.requests;
const others = log.otherLines.filter((line) => !/"message":"(Stopping|Stopped)"/.test(line));
check("unexpected responses", summarizeList(failures), failures.length === 0);
for (const [name, what] of Object.entries(MEMORY_KINDS)) {
  const [before, after] = [first, last].map((sample) => sample[name as keyof typeof MEMORY_KINDS]);
  const ratio = after / before;
  const figure = `${megabytes(after)}, ${megabytes(before)}, ratio ${ratio.toFixed(3)}`;
  check(
    `${what} within 5 % of its value after ${first.requests} requests`,
    figure,
    ratio <= MAX_GROWTH,
  );
}
const leaked = added(first.descriptors, last.descriptors);
check("file descriptors added since the first sample", summarizeList(leaked), leaked.length === 0);
check(
  "metrics that differ from the requests sent",
  summarizeList(miscounted),
  miscounted.length === 0,
);
check("log lines that are not about a request", summarizeList(others), others.length === 0);
check("exit status after SIGTERM", String(code), code === 0);
check(
  "log of a day at one request per second below 100 MB",
  `${megabytes(bytesPerRequest * SECONDS_PER_DAY)}, ${
    roundToFourDigits(bytesPerRequest)
  } bytes per request`,
  bytesPerRequest * SECONDS_PER_DAY < MAX_LOG_BYTES_PER_DAY,
);
if (flags.json) {
  console.log(JSON.stringify({
    device,
    adapter,
    model,
    quant,
    clients,
    seconds,
    requests: expected.requests,
    looks: samples.map(({ descriptors, ...rest }) => ({
      ...rest,
      descriptors: descriptors.length,
    })),
    log: {
      bytes_per_request: bytesPerRequest,
      bytes_per_day_at_1_per_second: Math.round(bytesPerRequest * SECONDS_PER_DAY),
    },
    checks,
  }));
} else {
  for (const { what, figure, holds } of checks) {
    console.log(`${holds ? "pass" : "FAIL"}  ${what}: ${figure}`);
  }
}
Deno.exit(checks.every(({ holds }) => holds) ? 0 : 1);

/** Runs clients until `until` requests have been sent since the start. */
async function load(until: number): Promise<void> {
  await Promise.all(Array.from({ length: clients }, async () => {
    while (expected.requests < until) {
      const scenario = scenarios++;
      try {
        await SCENARIOS[scenario % SCENARIOS.length](client, `guest${scenario}`);
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
  }));
}

/** Waits until no request is in progress, then measures the worker. */
async function takeSample() {
  for (let tries = 0; tries < 100; tries++) {
    const metrics = await client.send("GET", "/metrics");
    const isBusy = /^rwkv:num_requests_(running|waiting) [1-9]/m.test(metrics);
    if (!isBusy) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.countAborted();
  client.disconnect();
  const { rss, host, engine } = await worker.memory();
  const descriptors = worker.descriptors();
  const sample = {
    requests: expected.requests,
    rss,
    host: host.heapUsed + host.external,
    engine: engine.heapUsed + engine.external,
  };
  console.error(
    `  ${sample.requests} requests: ${megabytes(rss)} resident, ${
      megabytes(sample.host)
    } heap of the main thread, ` +
      `${megabytes(sample.engine)} heap of the engine, ${descriptors.length} descriptors`,
  );
  return { ...sample, descriptors };
}

function check(what: string, figure: string, holds: boolean): void {
  checks.push({ what, figure, holds });
}

/** Returns the items of `after` that `before` lacks, with multiplicity. */
function added(before: readonly string[], after: readonly string[]): string[] {
  const remaining = [...before];
  return after.filter((name) => {
    const at = remaining.indexOf(name);
    if (at >= 0) remaining.splice(at, 1);
    return at < 0;
  });
}

/** Formats the number of items and the first five. */
function summarizeList(texts: readonly string[]): string {
  if (texts.length === 0) return "none";
  return [`${texts.length}`, ...texts.slice(0, 5)].join("; ");
}

function megabytes(bytes: number): string {
  return `${roundToFourDigits(bytes / 1e6)} MB`;
}

/**
 * `deno task soak`: two workers on one `denokv` server at saturation, with a fault every few
 * seconds: clients abort, the device is lost, the store is slow, faulty, unreachable or killed,
 * workers are killed or stopped. Afterwards no state id may be lost, no reply wrong, and no process
 * grown.
 *
 * Flags: `--seconds S` (900, of faults), `--clients N` (32), `--seed N` (1), `--json`. One worker
 * uses the CPU engine, the other a WebGPU device that can be lost. Uses the `denokv` program of the
 * environment variable DENOKV, the one on PATH, or one that cargo builds once in `data/fleet`.
 * Prints a line for each check, and exits with status 0 if all pass.
 */

import { parseArgs } from "node:util";
import { currentCommit } from "../../../src/benchmark/commit.ts";
import { onStopSignals } from "../../../src/server/signals.ts";
import { findDenokv, freePort, KvServer, TOKEN } from "../fleet/denokv.ts";
import { Report } from "../fleet/report.ts";
import { Random, seeded } from "../../support/random_data.ts";
import { checkCounts, checkIds, checkWithoutFaults, settled } from "./checks.ts";
import { Clients } from "./clients.ts";
import { Faults } from "./faults.ts";
import { checkGrowth, measureIdle } from "./growth.ts";
import { KvProxy } from "./kv_proxy.ts";
import { writeScripts } from "./scripts.ts";
import { type ResourceUsage, SoakWorker } from "./worker.ts";
import { numberFlag } from "../../../src/settings/flags.ts";

/**
 * The fraction of the time after which the last processes start, and the samples taken of these.
 */
const [LAST_START, SAMPLES] = [0.4, 6];
const QUIET_SECONDS = 20;

const { values: flags } = parseArgs({
  options: {
    seconds: { type: "string" },
    clients: { type: "string" },
    seed: { type: "string" },
    json: { type: "boolean" },
  },
});
const seconds = numberFlag(flags, "seconds", { min: 10, max: 1e6 }) ?? 900;
const count = numberFlag(flags, "clients", { min: 1, max: 1000, integer: true }) ?? 32;
const seed = numberFlag(flags, "seed", { min: 0, max: 2 ** 31, integer: true }) ?? 1;

const print = (line: string) => flags.json ? console.error(line) : console.log(line);
const abort = new AbortController();
const { signal } = abort;
const report = new Report(print, signal);
const cleanup = new AsyncDisposableStack();
onStopSignals(() => abort.abort());
let status = 1;
try {
  await Promise.race([
    run(),
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  ]);
  status = report.holds ? 0 : 1;
} catch (error) {
  print(`FAIL  ${error instanceof Error ? error.stack : error}`);
}
abort.abort();
await cleanup.disposeAsync();
if (flags.json) {
  console.log(
    JSON.stringify({
      commit: await currentCommit(),
      seconds,
      clients: count,
      seed,
      checks: report.checks,
    }),
  );
}
Deno.exit(status);

async function run(): Promise<void> {
  const program = await findDenokv(signal);
  const folder = await Deno.makeTempDir({ prefix: "rwkv-soak-" });
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
  const file = `${folder}/states.sqlite3`;
  const port = freePort();
  const store = cleanup.use(new KvServer({ program, file, port, signal }));
  await store.start();
  const proxy = cleanup.use(new KvProxy(port, seeded(seed + 1)));
  const workers = (["cpu", "webgpu"] as const).map((device) => {
    const worker = new SoakWorker({ name: device, kv: proxy.url, device, signal });
    cleanup.defer(() => worker.kill());
    return worker;
  });
  await Promise.all(workers.map((worker) => worker.start()));
  const scripts = await writeScripts([workers[0].url, workers[1].url]);
  print(`${scripts.length} conversations, ${count} clients, ${seconds} s of faults`);

  const clients = new Clients({ workers, scripts, random: new Random(seed) });
  const faults = new Faults({ workers, store, proxy }, new Random(seed + 2));
  const runWithFaults = async (fraction: number) => {
    const end = performance.now() + 1000 * seconds * fraction;
    const until = () => performance.now() > end || signal.aborted;
    await Promise.all([clients.run(count, { until, abort: true }), faults.run(until)]);
    await settled(workers, report);
  };
  await runWithFaults(LAST_START);
  for (const worker of workers) {
    await worker.stop();
    await worker.start();
    faults.protectedWorkers.add(worker);
  }
  const last = workers.map(({ process }) => process);
  const samples: ResourceUsage[][] = workers.map(() => []);
  for (let sample = 0; sample < SAMPLES; sample++) {
    await runWithFaults((1 - LAST_START) / SAMPLES);
    await Promise.all(workers.map(async (worker, i) => samples[i].push(await measureIdle(worker))));
  }

  print(`faults: ${formatCounts(faults.counts)}`);
  const kinds = [
    "finished",
    "interrupted",
    "replayed",
    "rejected",
    "no_store",
    "failed",
    "aborted",
    "disconnected",
  ] as const;
  print(`results: ${kinds.map((kind) => `${kind} ${clients.count(kind)}`).join(", ")}`);
  print(`rejected or failed with: ${formatCounts(clients.codes)}; not stored: ${clients.unstored}`);
  checkNone("faults that could not be injected", faults.failures);
  checkNone("invalid responses", clients.invalid);
  for (const [i, { name, process }] of workers.entries()) {
    const what = `memory and descriptors of ${name}, by sample`;
    // A worker that lost its device too often has been replaced.
    if (process !== last[i]) report.add(what, "replaced", true);
    else checkGrowth(report, { what, samples: samples[i], clients: count, seconds });
  }
  await checkWithoutFaults(clients, { workers, report, count, seconds: QUIET_SECONDS });
  await checkIds(clients, { workers, report, random: new Random(seed + 3) });
  for (const worker of workers) await worker.stop();
  checkCounts(clients, { workers, faults, report });
  checkNone("log lines that indicate a bug", workers.flatMap(({ faults: wrong }) => wrong));
}

/** Adds a check that passes if `found` is empty; prints its first items otherwise. */
function checkNone(what: string, found: readonly string[]): void {
  report.add(what, String(found.length), found.length === 0);
  for (const one of found.slice(0, 10)) print(one);
}

function formatCounts(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, times]) => `${what} ${times}`).join(", ");
}

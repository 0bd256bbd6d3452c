/**
 * `deno task soak`: two workers on one `denokv` server at saturation, with a fault every few seconds:
 * clients leave, the device is lost, the store is slow, broken, away or killed, workers are killed or
 * stopped. Afterwards no id may be lost, no reply wrong, and nothing grown.
 *
 * Flags: `--seconds S` (900, of faults), `--clients N` (32), `--seed N` (1), `--json`. One worker has
 * the CPU engine, the other a WebGPU device that can be taken away. The program of the store is that
 * of the environment variable DENOKV, the one on PATH, or one that cargo builds once below
 * `data/fleet`. Prints a line for each check, and ends with status 0 if all hold.
 */

import { parseArgs } from "node:util";
import { currentCommit } from "../../../src/benchmark/commit.ts";
import { onStopSignals } from "../../../src/server/signals.ts";
import { findDenokv, freePort, KvServer, TOKEN } from "../fleet/denokv.ts";
import { Report } from "../fleet/report.ts";
import { Random, seeded } from "../../support/random_data.ts";
import { checkCounts, checkIds, checkQuietTime, settled } from "./checks.ts";
import { Clients } from "./clients.ts";
import { Faults } from "./faults.ts";
import { checkGrowth, heldIdle } from "./growth.ts";
import { KvProxy } from "./kv_proxy.ts";
import { writeScripts } from "./scripts.ts";
import { type Held, SoakWorker } from "./worker.ts";
import { numberFlag } from "../../../src/settings/flags.ts";

/** Of the time, when workers begin their last processes; these are looked at so often until the end. */
const [LAST_PROCESS, LOOKS] = [0.4, 6];
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

const say = (line: string) => flags.json ? console.error(line) : console.log(line);
const ending = new AbortController();
const { signal } = ending;
const report = new Report(say, signal);
const cleanup = new AsyncDisposableStack();
onStopSignals(() => ending.abort());
let status = 1;
try {
  await Promise.race([
    run(),
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  ]);
  status = report.holds ? 0 : 1;
} catch (error) {
  say(`FAILS  ${error instanceof Error ? error.stack : error}`);
}
ending.abort();
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
  say(`${scripts.length} conversations, ${count} clients, ${seconds} s of faults`);

  const clients = new Clients({ workers, scripts, random: new Random(seed) });
  const faults = new Faults({ workers, store, proxy }, new Random(seed + 2));
  const disturbed = async (part: number) => {
    const end = performance.now() + 1000 * seconds * part;
    const until = () => performance.now() > end || signal.aborted;
    await Promise.all([clients.run(count, { until, leave: true }), faults.run(until)]);
    await settled(workers, report);
  };
  await disturbed(LAST_PROCESS);
  for (const worker of workers) {
    await worker.stop();
    await worker.start();
    faults.spared.add(worker);
  }
  const last = workers.map(({ process }) => process);
  const looks: Held[][] = workers.map(() => []);
  for (let look = 0; look < LOOKS; look++) {
    await disturbed((1 - LAST_PROCESS) / LOOKS);
    await Promise.all(workers.map(async (worker, i) => looks[i].push(await heldIdle(worker))));
  }

  say(`faults: ${listed(faults.counts)}`);
  const kinds = [
    "finished",
    "cut",
    "replayed",
    "refused",
    "storeless",
    "failed",
    "left",
    "lost",
  ] as const;
  say(`answers: ${kinds.map((kind) => `${kind} ${clients.count(kind)}`).join(", ")}`);
  say(`refused or failed with: ${listed(clients.codes)}; not stored: ${clients.unstored}`);
  tell("faults that could not be brought about", faults.failures);
  tell("answers that may not be", clients.wrong);
  for (const [i, { name, process }] of workers.entries()) {
    const what = `what ${name} holds, from look to look`;
    // One that lost its device too often has been replaced.
    if (process !== last[i]) report.add(what, "replaced", true);
    else checkGrowth(report, { what, looks: looks[i], clients: count, seconds });
  }
  await checkQuietTime(clients, { workers, report, count, seconds: QUIET_SECONDS });
  await checkIds(clients, { workers, report, random: new Random(seed + 3) });
  for (const worker of workers) await worker.stop();
  checkCounts(clients, { workers, faults, report });
  tell("lines of logs that tell of a bug", workers.flatMap(({ wrong }) => wrong));
}

/** A check that there is nothing of a kind; else the first ones are shown. */
function tell(what: string, found: readonly string[]): void {
  report.add(what, String(found.length), found.length === 0);
  for (const one of found.slice(0, 10)) say(one);
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, times]) => `${what} ${times}`).join(", ");
}

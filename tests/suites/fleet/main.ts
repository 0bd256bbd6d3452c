/**
 * `deno task test:fleet`: three workers on one `denokv` server behind a proxy, while workers and
 * server are killed; and the store backend against such a server.
 *
 * Flags: `--conversations N` (60; 500 for the full result) of 6 turns, `--clients N` (12),
 * `--kill-seconds S` (4, between worker kills), `--seconds S` (900, a limit for everything),
 * `--device auto|webgpu|cpu`, `--codec f32|f16|q8` (default: the worker's), `--json`. Uses the
 * `denokv` program of the environment variable DENOKV, the one on PATH, or one that cargo builds
 * once in `data/fleet`. Prints a line for each check, and exits with status 0 if all pass.
 */

import { parseArgs } from "node:util";
import { onStopSignals } from "../../../src/server/signals.ts";
import { checkDamages } from "./damage_checks.ts";
import { findDenokv, freePort, KvServer, TOKEN } from "./denokv.ts";
import { Fleet } from "./fleet.ts";
import { checkFleet, runUninterrupted } from "./fleet_checks.ts";
import { checkNames } from "./name_checks.ts";
import { Report } from "./report.ts";
import { checkConformance, checkOutages } from "./store_checks.ts";
import { FleetWorker } from "./workers.ts";
import { choiceFlag, numberFlag } from "../../../src/settings/flags.ts";

const { values: flags } = parseArgs({
  options: {
    conversations: { type: "string" },
    clients: { type: "string" },
    "kill-seconds": { type: "string" },
    seconds: { type: "string" },
    device: { type: "string" },
    codec: { type: "string" },
    json: { type: "boolean" },
  },
});
const conversations = numberFlag(flags, "conversations", { min: 1, max: 1e5, integer: true }) ?? 60;
const clients = numberFlag(flags, "clients", { min: 1, max: 1000, integer: true }) ?? 12;
const every = 1000 * (numberFlag(flags, "kill-seconds", { min: 0.1, max: 3600 }) ?? 4);
const limit = numberFlag(flags, "seconds", { min: 1, max: 1e6 }) ?? 900;
const device = choiceFlag(flags, "device", {
  choices: ["auto", "webgpu", "cpu"],
  fallback: "auto",
});

const { codec } = flags;
const print = (line: string) => flags.json ? console.error(line) : console.log(line);
const abort = new AbortController();
const { signal } = abort;
const report = new Report(print, signal);
const stopped = Promise.withResolvers<never>();
onStopSignals(() => stopped.reject(new Error("Interrupted")));
const timer = setTimeout(
  () => stopped.reject(new Error(`Time limit of ${limit} s exceeded`)),
  limit * 1000,
);

const cleanup = new AsyncDisposableStack();
let unhandled = 0;
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  // Rejections of interrupted work are expected.
  if (!signal.aborted) console.error(`unhandled (${++unhandled}):`, event.reason);
});
let status = 1;
const running = run();
try {
  await Promise.race([running, stopped.promise]);
  status = report.holds ? 0 : 1;
} catch (error) {
  print(`FAIL  ${error instanceof Error ? error.message : error}`);
}
clearTimeout(timer);
abort.abort();
// Interrupted work ends now and starts nothing new.
await Promise.allSettled([running]);
await cleanup.disposeAsync();
if (flags.json) console.log(JSON.stringify({ conversations, device, checks: report.checks }));
Deno.exit(status);

async function run(): Promise<void> {
  const program = await findDenokv(signal);
  const folder = await Deno.makeTempDir({ prefix: "rwkv-fleet-" });
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
  const began = performance.now();
  const kvServer = (name: string) => {
    const file = `${folder}/${name}.sqlite3`;
    return cleanup.use(new KvServer({ program, file, port: freePort(), signal }));
  };

  print("Store backend");
  const server = kvServer("troubles");
  await server.start();
  await checkConformance(server, report);
  await checkOutages(server, report);
  await server.kill();

  print(`${conversations} conversations on one worker`);
  const options = { conversations, clients, signal };
  const singleWorker = new FleetWorker({ kv: `${folder}/alone.sqlite3`, device, codec, signal });
  cleanup.defer(() => singleWorker.kill());
  await singleWorker.start();
  const expected = await runUninterrupted(singleWorker.url, options);
  await singleWorker.kill();

  print("The same conversations on a fleet");
  const store = kvServer("fleet");
  await store.start();
  const fleet = cleanup.use(new Fleet(store, { device, codec, signal }));
  await fleet.start();
  await checkFleet(fleet, { ...options, expected, report, every });
  await checkNames(fleet, { store, report, signal });
  const kv = await Deno.openKv(store.url);
  await checkDamages(fleet, { kv, report, signal });
  kv.close();
  const exited = fleet.workers.filter(({ unexpectedExits: deaths }) => deaths > 0);
  report.add("workers that exited unexpectedly", `${exited.length}`, exited.length === 0);
  for (const { exitLog: lastWords } of exited) print(lastWords);
  report.add("unhandled rejections of this process", `${unhandled}`, unhandled === 0);
  print(`Finished in ${Math.round((performance.now() - began) / 1000)} s`);
}

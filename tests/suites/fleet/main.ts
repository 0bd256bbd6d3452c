/**
 * `deno task test:fleet`: three workers on one `denokv` server, behind a proxy, while workers and
 * server are killed; and the store's backend over such a server.
 *
 * Flags: `--conversations N` (60; 500 for the full figure) of 6 turns, `--clients N` (12 at once),
 * `--kill-seconds S` (4, between two kills of a worker), `--seconds S` (900 for everything),
 * `--device auto|webgpu|cpu`, `--codec f32|f16|q8` (as workers choose), `--json`. The program is that
 * of the environment variable DENOKV, the one on PATH, or one that cargo builds once below
 * `data/fleet`. Prints a line for each check, and ends with status 0 if all hold.
 */

import { parseArgs } from "node:util";
import { onStopSignals } from "../../../src/server/signals.ts";
import { checkDamages } from "./damage_checks.ts";
import { findDenokv, freePort, KvServer, TOKEN } from "./denokv.ts";
import { Fleet } from "./fleet.ts";
import { checkFleet, uninterrupted } from "./fleet_checks.ts";
import { checkNames } from "./name_checks.ts";
import { Report } from "./report.ts";
import { checkConformance, checkTroubles } from "./store_checks.ts";
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
const say = (line: string) => flags.json ? console.error(line) : console.log(line);
const ending = new AbortController();
const { signal } = ending;
const report = new Report(say, signal);
const stopped = Promise.withResolvers<never>();
onStopSignals(() => stopped.reject(new Error("it was interrupted")));
const timer = setTimeout(
  () => stopped.reject(new Error(`it took more than ${limit} s`)),
  limit * 1000,
);

const cleanup = new AsyncDisposableStack();
let unhandled = 0;
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  // What is under way when it ends early.
  if (!signal.aborted) console.error(`unhandled (${++unhandled}):`, event.reason);
});
let status = 1;
const running = run();
try {
  await Promise.race([running, stopped.promise]);
  status = report.holds ? 0 : 1;
} catch (error) {
  say(`FAILS  ${error instanceof Error ? error.message : error}`);
}
clearTimeout(timer);
ending.abort();
// What was interrupted gives up now, and starts nothing more.
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
  const served = (name: string) => {
    const file = `${folder}/${name}.sqlite3`;
    return cleanup.use(new KvServer({ program, file, port: freePort(), signal }));
  };

  say("The store alone");
  const server = served("troubles");
  await server.start();
  await checkConformance(server, report);
  await checkTroubles(server, report);
  await server.kill();

  say(`${conversations} conversations with one worker`);
  const options = { conversations, clients, signal };
  const alone = new FleetWorker({ kv: `${folder}/alone.sqlite3`, device, codec, signal });
  cleanup.defer(() => alone.kill());
  await alone.start();
  const wanted = await uninterrupted(alone.url, options);
  await alone.kill();

  say("The same with a fleet");
  const store = served("fleet");
  await store.start();
  const fleet = cleanup.use(new Fleet(store, { device, codec, signal }));
  await fleet.start();
  await checkFleet(fleet, { ...options, wanted, report, every });
  await checkNames(fleet, { store, report, signal });
  const kv = await Deno.openKv(store.url);
  await checkDamages(fleet, { kv, report, signal });
  kv.close();
  const dead = fleet.workers.filter(({ deaths }) => deaths > 0);
  report.add("workers that ended by themselves", `${dead.length}`, dead.length === 0);
  for (const { lastWords } of dead) say(lastWords);
  report.add("rejections that nobody handled here", `${unhandled}`, unhandled === 0);
  say(`It took ${Math.round((performance.now() - began) / 1000)} s`);
}

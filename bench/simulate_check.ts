/**
 * `deno task simulate:check`: the simulation beside real workers, on this machine.
 *
 * Flags: `--device cpu|webgpu` (cpu), `--workers N` (3), `--slots N` (8), `--load P` (0.6, of what
 * they can do), `--seconds N` (40, after 5), `--seed N` (1), `--json`. Workers with the demo model run
 * as processes on one SQLite file. Their speed is measured over HTTP: of one alone, and of all at
 * once, which tells how many cores they share. In between, the clients that the simulation draws ask
 * them, each turn at the next worker. The simulation takes the mean of what was measured before and
 * after, so that a machine that is busier in one half does not count as an error of the simulation.
 * Exit status 1 if a figure that is held is off by more than 25 %.
 */

import { parseArgs } from "node:util";
import { digits } from "../src/cli/bench_cases.ts";
import { commit } from "../src/cli/bench_commit.ts";
import { choice, number, printJson } from "../src/cli/command.ts";
import { findModel, modelTokenizer } from "../src/cli/model_files.ts";
import { startWorkerProcess } from "../tests/e2e/worker_process.ts";
import { between, calibrate, turnsPerSecond } from "./simulate/calibrate.ts";
import { parseDistribution } from "./simulate/distribution.ts";
import { simulate, windowOf } from "./simulate/fleet.ts";
import type { Load } from "./simulate/load.ts";
import { delay, drive, RealClient } from "./simulate/real_clients.ts";
import { rounded } from "./simulate/report.ts";
import { parseProfile, type SpeedProfile } from "./simulate/speed_profile.ts";
import { type Figures, figuresOf } from "./simulate/turn_times.ts";
import { counted, type Counters, readCounters } from "./simulate/worker_counters.ts";

/** By how much a figure that is held may be off. */
const BOUND = 0.25;

const ROUNDS = 2;

const { values: flags } = parseArgs({
  options: {
    device: { type: "string" },
    workers: { type: "string" },
    slots: { type: "string" },
    load: { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string" },
    json: { type: "boolean" },
  },
});
const device = choice(flags, "device", { choices: ["cpu", "webgpu"], otherwise: "cpu" });
const count = number(flags, "workers", { min: 2, max: 16, integer: true }) ?? 3;
const slots = number(flags, "slots", { min: 1, max: 256, integer: true }) ?? 8;
const times = {
  warmup: 5,
  seconds: number(flags, "seconds", { min: 1, max: 3600 }) ?? 40,
  seed: number(flags, "seed", { min: 0, max: 2 ** 32 - 1, integer: true }) ?? 1,
};
const part = number(flags, "load", { min: 0.01, max: 2 }) ?? 0.6;
const prompt = parseDistribution("prompt", "20-140");
const reply = parseDistribution("reply", "10-70");

console.error("measuring the engine");
const engine = await measureEngine(device);
const folder = await Deno.makeTempDir();
await using workers = new AsyncDisposableStack();
workers.defer(() => Deno.remove(folder, { recursive: true }));
const urls: string[] = [];
for (let i = 0; i < count; i++) {
  const worker = await startWorkerProcess(`${folder}/states.sqlite3`, {
    device,
    flags: ["--slots", `${slots}`],
  });
  urls.push(workers.use(worker).url);
}
const client = new RealClient(await modelTokenizer(await findModel({})));
console.error(`measuring ${count} workers`);
const measuring = { urls, rounds: ROUNDS, engine };
const before = await calibrate(client, measuring);
const perSecond = part * turnsPerSecond(before, { prompt, reply });
const load: Load = { arrivals: { perSecond }, turns: 3, think: 3, prompt, reply };

console.error(`asking for ${digits(perSecond)} turns a second, ${times.warmup + times.seconds} s`);
const window = windowOf(times);
let marks: Promise<Counters>[] = [];
const turns = await drive(client, {
  urls,
  load,
  seed: times.seed,
  until: window.to,
  onBegin: () => {
    // All turns may have ended before the window does.
    marks = [window.from, window.to].map(async (at) => {
      await delay(at);
      return await readCounters(urls);
    });
  },
});
const figures = figuresOf(turns, window);
const measured = {
  ...figures,
  ...counted(await Promise.all(marks), {
    seconds: times.seconds,
    written: figures.tokens_per_second,
  }),
};

console.error("measuring again");
const after = await calibrate(client, measuring);
const speed = between(before, after);
const { figures: simulated } = await simulate({
  ...times,
  workers: count,
  balancer: "round-robin",
  cores: speed.cores,
  load: { ...load, prompt: (random) => prompt(random) + speed.around },
  worker: {
    profile: speed.profile,
    slots,
    queue: 64,
    // More than enough.
    cacheBytes: 1e9,
    stateBytes: 1,
    kv: speed.kv,
    request: speed.request,
    within: 600_000,
    maxTokens: "exact",
  },
});

type Both = Figures & { batch: number; read_per_second: number };
const COMPARED: readonly [string, boolean, (figures: Both) => number][] = [
  ["first token, p50 ms", true, ({ ttft_ms }) => ttft_ms?.p50 ?? NaN],
  ["first token, p95 ms", false, ({ ttft_ms }) => ttft_ms?.p95 ?? NaN],
  ["time of a token, p50 ms", true, ({ token_ms }) => token_ms?.p50 ?? NaN],
  ["time of a token, p95 ms", false, ({ token_ms }) => token_ms?.p95 ?? NaN],
  ["gap between texts, p50 ms", false, ({ gap_ms }) => gap_ms?.p50 ?? NaN],
  ["gap between texts, p99 ms", false, ({ gap_ms }) => gap_ms?.p99 ?? NaN],
  ["tokens written a step", true, ({ batch }) => batch],
  ["tokens written a second", true, ({ tokens_per_second }) => tokens_per_second],
  ["tokens read a second", false, ({ read_per_second }) => read_per_second],
  ["turns under way", false, ({ present }) => present],
  ["turns asked for", false, ({ turns: { asked } }) => asked],
  ["refused", false, ({ turns: { refused } }) => refused],
];
const rows = COMPARED.map(([what, held, of]) => {
  const [real, told] = [of(measured), of(simulated)];
  const ratio = real === told ? 1 : told / real;
  const holds = !held || (ratio >= 1 - BOUND && ratio <= 1 + BOUND);
  return {
    what,
    held,
    measured: digits(real),
    simulated: digits(told),
    ratio: digits(ratio),
    holds,
  };
});
if (flags.json) {
  await printJson(rounded({
    device,
    commit: await commit(),
    workers: count,
    slots,
    load: part,
    turns_per_second: perSecond,
    ...times,
    bound: BOUND,
    calibrations: { before, after },
    rows,
  }));
} else {
  const { cores, request, kv, profile: { decode, read, readBack } } = speed;
  console.log(
    `a step of ${decode.map(({ batch, ms }) => `${batch} in ${digits(ms)} ms`).join(", ")}; ` +
      `${digits(read.step)} ms and ${digits(read.token)} a token to read, ${digits(readBack)} ` +
      `a read-back, ${digits(request)} a request; ` +
      `states in ${digits(kv.load)} and ${digits(kv.save)} ms; ${digits(cores)} cores, ` +
      `${digits(before.cores)} before and ${digits(after.cores)} after\n`,
  );
  console.log("| | measured | simulated | ratio | |\n|---|---|---|---|---|");
  for (const { what, held, measured, simulated, ratio, holds } of rows) {
    const verdict = held ? holds ? "holds" : "FAILS" : "";
    console.log(`| ${what} | ${measured} | ${simulated} | ${ratio} | ${verdict} |`);
  }
}
await workers.disposeAsync();
Deno.exit(rows.every(({ holds }) => holds) ? 0 : 1);

/** What `bench` tells of one engine that has the machine to itself. */
async function measureEngine(device: string): Promise<SpeedProfile> {
  const measured = ["--batch", "1", "--prompt", "16,256", "--tokens", "16", "--rounds", "3"];
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=rwkv", "src/cli/main.ts", "bench", "--device", device]
      .concat("--json", ...measured),
    cwd: new URL("..", import.meta.url),
    stderr: "inherit",
  }).output();
  return parseProfile(JSON.parse(new TextDecoder().decode(stdout)), "of bench");
}

/**
 * `deno task simulate:check`: the simulation beside real workers, on this machine.
 *
 * Flags: `--device cpu|webgpu` (cpu), `--workers N` (3), `--slots N` (8), `--load P` (0.6, of what
 * they can do), `--rounds N` (5), `--seconds N` (30 each, after 5), `--seed N` (1), `--json`. Workers
 * with the demo model run as processes on one SQLite file. Their speed is measured over HTTP: of one
 * alone, and of all at once, which tells how many cores they share. Then, in rounds, the clients that
 * the simulation draws ask them, each turn at the next worker, and the speed is measured again. The
 * simulation of a round takes the mean of what was measured before and after it. A figure that is
 * held fails if the median of its ratios is off by more than 25 %: exit status 1.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits, summarize } from "../src/benchmark/cases.ts";
import { currentCommit } from "../src/benchmark/commit.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { startWorkerProcess } from "../tests/suites/e2e/worker_process.ts";
import { between, calibrate, type Calibration, turnsPerSecond } from "./calibrate.ts";
import { parseDistribution } from "./distribution.ts";
import { simulate, windowOf } from "./fleet.ts";
import type { Load } from "./load.ts";
import { delay, drive, RealClient } from "./real_clients.ts";
import { rounded } from "./report.ts";
import { parseProfile, type SpeedProfile } from "./speed_profile.ts";
import { type Figures, figuresOf } from "./turn_times.ts";
import { counted, type Counters, readCounters } from "./worker_counters.ts";
import { choiceFlag, numberFlag } from "../src/settings/flags.ts";

/** By how much a figure that is held may be off. */
const BOUND = 0.25;

/** Of a measurement of the speed. */
const ROUNDS = 2;

const { values: flags } = parseArgs({
  options: {
    device: { type: "string" },
    workers: { type: "string" },
    slots: { type: "string" },
    load: { type: "string" },
    rounds: { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string" },
    json: { type: "boolean" },
  },
});
const device = choiceFlag(flags, "device", { choices: ["cpu", "webgpu"], fallback: "cpu" });
const count = numberFlag(flags, "workers", { min: 2, max: 16, integer: true }) ?? 3;
const slots = numberFlag(flags, "slots", { min: 1, max: 256, integer: true }) ?? 8;
const rounds = numberFlag(flags, "rounds", { min: 1, max: 100, integer: true }) ?? 5;
const times = {
  warmup: 5,
  seconds: numberFlag(flags, "seconds", { min: 1, max: 3600 }) ?? 30,
};
const firstSeed = numberFlag(flags, "seed", { min: 0, max: 2 ** 31, integer: true }) ?? 1;
const part = numberFlag(flags, "load", { min: 0.01, max: 2 }) ?? 0.6;
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
const client = new RealClient(await openModelTokenizer(await findModel({})));
console.error(`measuring ${count} workers`);
const measuring = { urls, rounds: ROUNDS, engine };
let before = await calibrate(client, measuring);
const perSecond = part * turnsPerSecond(before, { prompt, reply });
const load: Load = { arrivals: { perSecond }, turns: 3, think: 3, prompt, reply };

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

const calibrations = [before];
const pairs: { measured: Both; simulated: Both }[] = [];
for (let round = 0; round < rounds; round++) {
  console.error(
    `round ${round + 1} of ${rounds}: ${roundToFourDigits(perSecond)} turns a second, ` +
      `${times.warmup + times.seconds} s`,
  );
  const measured = await measureLoad(firstSeed + round);
  const after = await calibrate(client, measuring);
  const simulated = await simulateLoad(firstSeed + round, between(before, after));
  pairs.push({ measured, simulated });
  calibrations.push(before = after);
}

const rows = COMPARED.map(([what, held, of]) => {
  const told = pairs.map(({ measured, simulated }) => {
    const [real, simply] = [of(measured), of(simulated)];
    return { real, simply, ratio: real === simply ? 1 : simply / real };
  });
  const ratio = summarize(told.map(({ ratio }) => ratio));
  return {
    what,
    held,
    measured: told.map(({ real }) => real),
    simulated: told.map(({ simply }) => simply),
    ratio,
    holds: !held || (ratio.median >= 1 - BOUND && ratio.median <= 1 + BOUND),
  };
});
if (flags.json) {
  console.log(JSON.stringify(rounded({
    device,
    commit: await currentCommit(),
    workers: count,
    slots,
    load: part,
    turns_per_second: perSecond,
    rounds,
    ...times,
    seed: firstSeed,
    bound: BOUND,
    calibrations,
    rows,
  })));
} else {
  for (const { cores, request, kv, profile: { decode, read, readBack } } of calibrations) {
    console.log(
      `a step of ${
        decode.map(({ batch, ms }) => `${batch} in ${roundToFourDigits(ms)} ms`).join(", ")
      }; ` +
        `${roundToFourDigits(read.step)} ms and ${roundToFourDigits(read.token)} a token to read, ${
          roundToFourDigits(readBack)
        } ` +
        `a read-back, ${roundToFourDigits(request)} a request; ` +
        `states in ${roundToFourDigits(kv.load)} and ${roundToFourDigits(kv.save)} ms; ${
          roundToFourDigits(cores)
        } cores`,
    );
  }
  console.log(
    "\n| medians | measured | simulated | ratio, least to most | |\n|---|---|---|---|---|",
  );
  for (const { what, held, measured, simulated, ratio, holds } of rows) {
    const verdict = held ? holds ? "holds" : "FAILS" : "";
    const median = (values: readonly number[]) => roundToFourDigits(summarize(values).median);
    console.log(
      `| ${what} | ${median(measured)} | ${median(simulated)} | ` +
        `${roundToFourDigits(ratio.median)}, ${roundToFourDigits(ratio.min)} to ${
          roundToFourDigits(ratio.max)
        } | ${verdict} |`,
    );
  }
}
await workers.disposeAsync();
Deno.exit(rows.every(({ holds }) => holds) ? 0 : 1);

/** What real clients saw of the real workers. */
async function measureLoad(seed: number): Promise<Both> {
  const window = windowOf(times);
  let marks: Promise<Counters>[] = [];
  const turns = await drive(client, {
    urls,
    load,
    seed,
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
  const { seconds } = times;
  const written = figures.tokens_per_second;
  return { ...figures, ...counted(await Promise.all(marks), { seconds, written }) };
}

/** What the same clients would have seen of workers of such a speed. */
async function simulateLoad(seed: number, speed: Calibration): Promise<Both> {
  const { figures } = await simulate({
    ...times,
    seed,
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
      timeoutMs: 600_000,
      maxTokens: "exact",
    },
  });
  return figures;
}

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

/**
 * `deno task simulate:check`: compares the simulation with real workers on this machine.
 *
 * Flags: `--device cpu|webgpu` (cpu), `--workers N` (3), `--slots N` (8), `--load P` (0.6, a
 * fraction of the workers' capacity), `--rounds N` (5), `--seconds N` (30 each, after 5 s of
 * warm-up), `--seed N` (1), `--json`. Workers with the demo model run as processes on one SQLite
 * file. Their speed is measured over HTTP, first for one worker alone and then for all of them, which
 * shows how many cores they share. In each round the simulation's clients then run against the real workers,
 * each turn on the next worker, and the speed is measured again. The simulation of a round uses the
 * mean of the measurements before and after it. A checked metric fails if the median of its
 * simulated-to-measured ratios is off by more than 25 %: exit status 1.
 */

import { parseArgs } from "node:util";
import { roundToFourDigits, summarize } from "../src/benchmark/cases.ts";
import { currentCommit } from "../src/benchmark/commit.ts";
import { findModel, openModelTokenizer } from "../src/model_files/find_model.ts";
import { startWorkerProcess } from "../tests/suites/e2e/worker_process.ts";
import { calibrate, type Calibration, meanCalibration, turnsPerSecond } from "./calibrate.ts";
import { parseDistribution } from "./distribution.ts";
import { simulate, windowOf } from "./fleet.ts";
import type { Load } from "./load.ts";
import { delay, RealClient, runClients } from "./real_clients.ts";
import { rounded } from "./report.ts";
import { parseProfile, type SpeedProfile } from "./speed_profile.ts";
import { computeFigures, type Figures } from "./turn_times.ts";
import { counterRates, type Counters, readCounters } from "./worker_counters.ts";
import { choiceFlag, numberFlag } from "../src/settings/flags.ts";

/** Maximum relative error of a checked metric. */
const MAX_ERROR = 0.25;

/** Rounds of one speed measurement. */
const CALIBRATION_ROUNDS = 2;

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
const loadFraction = numberFlag(flags, "load", { min: 0.01, max: 2 }) ?? 0.6;
const prompt = parseDistribution("prompt", "20-140");
const reply = parseDistribution("reply", "10-70");

console.error("Measuring the engine");
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
console.error(`Measuring ${count} workers`);
const calibrateOptions = { urls, rounds: CALIBRATION_ROUNDS, engine };
let before = await calibrate(client, calibrateOptions);
const perSecond = loadFraction * turnsPerSecond(before, { prompt, reply });
const load: Load = { arrivals: { perSecond }, turns: 3, think: 3, prompt, reply };

type Comparison = Figures & { batch: number; read_per_second: number };
/** Name of each metric, whether it is checked, and its value. */
const METRICS: readonly [string, boolean, (figures: Comparison) => number][] = [
  ["time to first token, p50 ms", true, ({ ttft_ms }) => ttft_ms?.p50 ?? NaN],
  ["time to first token, p95 ms", false, ({ ttft_ms }) => ttft_ms?.p95 ?? NaN],
  ["time per output token, p50 ms", true, ({ token_ms }) => token_ms?.p50 ?? NaN],
  ["time per output token, p95 ms", false, ({ token_ms }) => token_ms?.p95 ?? NaN],
  ["inter-chunk latency, p50 ms", false, ({ gap_ms }) => gap_ms?.p50 ?? NaN],
  ["inter-chunk latency, p99 ms", false, ({ gap_ms }) => gap_ms?.p99 ?? NaN],
  ["generated tokens per step", true, ({ batch }) => batch],
  ["generated tokens per second", true, ({ tokens_per_second }) => tokens_per_second],
  ["prompt tokens per second", false, ({ read_per_second }) => read_per_second],
  ["turns in progress", false, ({ present }) => present],
  ["turns requested", false, ({ turns: { asked } }) => asked],
  ["turns rejected", false, ({ turns: { refused } }) => refused],
];

const calibrations = [before];
const pairs: { measured: Comparison; simulated: Comparison }[] = [];
for (let round = 0; round < rounds; round++) {
  console.error(
    `Round ${round + 1} of ${rounds}: ${roundToFourDigits(perSecond)} turns per second, ` +
      `${times.warmup + times.seconds} s`,
  );
  const measured = await measureLoad(firstSeed + round);
  const after = await calibrate(client, calibrateOptions);
  const simulated = await simulateLoad(firstSeed + round, meanCalibration(before, after));
  pairs.push({ measured, simulated });
  calibrations.push(before = after);
}

const rows = METRICS.map(([what, checked, select]) => {
  const values = pairs.map(({ measured, simulated }) => {
    const [real, simulatedValue] = [select(measured), select(simulated)];
    const ratio = real === simulatedValue ? 1 : simulatedValue / real;
    return { real, simulatedValue, ratio };
  });
  const ratio = summarize(values.map(({ ratio }) => ratio));
  return {
    what,
    checked,
    measured: values.map(({ real }) => real),
    simulated: values.map(({ simulatedValue }) => simulatedValue),
    ratio,
    holds: !checked || (ratio.median >= 1 - MAX_ERROR && ratio.median <= 1 + MAX_ERROR),
  };
});
if (flags.json) {
  console.log(JSON.stringify(rounded({
    device,
    commit: await currentCommit(),
    workers: count,
    slots,
    load: loadFraction,
    turns_per_second: perSecond,
    rounds,
    ...times,
    seed: firstSeed,
    bound: MAX_ERROR,
    calibrations,
    rows,
  })));
} else {
  for (const { cores, request, kv, profile: { decode, read, readBack } } of calibrations) {
    console.log(
      `decode step: ${
        decode.map(({ batch, ms }) => `batch ${batch} in ${roundToFourDigits(ms)} ms`).join(", ")
      }; ` +
        `prefill: ${roundToFourDigits(read.step)} ms per step and ${
          roundToFourDigits(read.token)
        } ms per token; ${roundToFourDigits(readBack)} ms per read-back, ${
          roundToFourDigits(request)
        } ms per request; ` +
        `state load ${roundToFourDigits(kv.load)} ms, save ${roundToFourDigits(kv.save)} ms; ${
          roundToFourDigits(cores)
        } cores`,
    );
  }
  console.log(
    "\n| median of rounds | measured | simulated | ratio (min to max) | |\n|---|---|---|---|---|",
  );
  for (const { what, checked, measured, simulated, ratio, holds } of rows) {
    const result = checked ? holds ? "pass" : "FAIL" : "";
    const median = (values: readonly number[]) => roundToFourDigits(summarize(values).median);
    console.log(
      `| ${what} | ${median(measured)} | ${median(simulated)} | ` +
        `${roundToFourDigits(ratio.median)}, ${roundToFourDigits(ratio.min)} to ${
          roundToFourDigits(ratio.max)
        } | ${result} |`,
    );
  }
}
await workers.disposeAsync();
Deno.exit(rows.every(({ holds }) => holds) ? 0 : 1);

/** Runs the clients against the real workers and returns what they measured. */
async function measureLoad(seed: number): Promise<Comparison> {
  const window = windowOf(times);
  let counters: Promise<Counters>[] = [];
  const turns = await runClients(client, {
    urls,
    load,
    seed,
    until: window.to,
    onBegin: () => {
      // Read the counters on a timer: all turns may end before the window does.
      counters = [window.from, window.to].map(async (at) => {
        await delay(at);
        return await readCounters(urls);
      });
    },
  });
  const figures = computeFigures(turns, window);
  const { seconds } = times;
  const written = figures.tokens_per_second;
  return { ...figures, ...counterRates(await Promise.all(counters), { seconds, written }) };
}

/** Simulates the same clients against workers of the calibrated speed. */
async function simulateLoad(seed: number, calibration: Calibration): Promise<Comparison> {
  const { figures } = await simulate({
    ...times,
    seed,
    workers: count,
    balancer: "round-robin",
    cores: calibration.cores,
    load: { ...load, prompt: (random) => prompt(random) + calibration.around },
    worker: {
      profile: calibration.profile,
      slots,
      queue: 64,
      // Large enough for every state.
      cacheBytes: 1e9,
      stateBytes: 1,
      kv: calibration.kv,
      request: calibration.request,
      timeoutMs: 600_000,
      maxTokens: "exact",
    },
  });
  return figures;
}

/** Runs `bench` for one engine while nothing else uses the machine. */
async function measureEngine(device: string): Promise<SpeedProfile> {
  const measured = ["--batch", "1", "--prompt", "16,256", "--tokens", "16", "--rounds", "3"];
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=rwkv", "src/cli/main.ts", "bench", "--device", device]
      .concat("--json", ...measured),
    cwd: new URL("..", import.meta.url),
    stderr: "inherit",
  }).output();
  return parseProfile(JSON.parse(new TextDecoder().decode(stdout)), "from bench");
}

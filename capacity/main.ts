/**
 * `deno task simulate`: estimates how many workers a load needs, by simulation. No model runs: the
 * real scheduler drives a simulated engine that takes the times that `rwkv bench --json` measured.
 * Time is virtual, so that minutes of many workers take seconds. The same seed gives the same result.
 *
 * - Speed: `--profile FILE`, the output of `rwkv bench --json` (bench/results/demo-webgpu.json).
 * - Fleet: `--workers N,N,…` (1), or `--find` for the smallest number up to `--most N` (1024) that
 *   meets the goals; `--slots`, `--queue`, `--turn-seconds`, `--state-cache` of each worker, as in
 *   `serve`; `--balancer round-robin|least`; `--shared-cores C` if engines share cores.
 * - Load: `--arrivals R` turns per second (1) of conversations of `--turns N` (mean 5), or
 *   `--conversations N` endless ones; `--think S` (30), mean seconds from a reply's end to the next
 *   turn; `--prompt` and `--reply` tokens of a turn (exp:200 each): N, N-N (uniform), N,N,… (one of
 *   them), exp:MEAN, or log:MEDIAN:P95; `--max-tokens N` (512), the limit that clients send.
 * - Overheads in milliseconds: `--kv-load` (2) and `--kv-save` (4) of a state, `--request` (2) for
 *   everything before the queue; `--state-bytes N` as stored (half of the profile's).
 * - Goals, as maxima: `--ttft-p50|p95|p99`, `--gap-p50|p99`, `--token-p50|p95`, `--queue-p95` in
 *   milliseconds, `--refused` as a fraction of the turns.
 * - `--seconds N` (300) are measured after `--warmup N` (60); `--seed N` (1); `--json`.
 *
 * A rejected turn is not retried: its conversation continues with the next turn after a pause. Exits
 * with status 1 if `--find` finds no number.
 */

import { parseArgs } from "node:util";
import { InferenceError } from "../src/core/errors.ts";
import { simulate } from "./fleet.ts";
import { GOAL_FLAGS, leastWorkers, missedGoals, parseGoals } from "./goals.ts";
import { DEFAULTS, OPTION_FLAGS, parseOptions } from "./options.ts";
import { rounded, type Row, table } from "./report.ts";
import { readProfile } from "./speed_profile.ts";
import { type Flags, numberFlag, stringFlag, usageError } from "../src/settings/flags.ts";

const PROFILE = new URL("../bench/results/demo-webgpu.json", import.meta.url).pathname;

try {
  Deno.exit(await run(parse()));
} catch (error) {
  if (!(error instanceof InferenceError)) throw error;
  console.error(`error: ${error.message}`);
  Deno.exit(error.code === "usage" ? 2 : 1);
}

function parse(): Flags {
  try {
    const { values } = parseArgs({
      options: {
        ...OPTION_FLAGS,
        ...GOAL_FLAGS,
        profile: { type: "string" },
        workers: { type: "string" },
        find: { type: "boolean" },
        most: { type: "string" },
        json: { type: "boolean" },
      },
    });
    return values;
  } catch (error) {
    throw usageError((error as Error).message);
  }
}

async function run(flags: Flags): Promise<number> {
  const profile = await readProfile(stringFlag(flags, "profile") ?? PROFILE);
  const options = parseOptions(flags, profile);
  const goals = parseGoals(flags);
  const rows: Row[] = [];
  const evaluate = async (workers: number) => {
    const { figures } = await simulate({ ...options, workers });
    const row = { workers, missed: missedGoals(goals, figures), figures };
    rows.push(row);
    console.error(
      `  ${workers} workers: ${
        row.missed.length === 0 ? "meets all goals" : `misses ${row.missed.join(", ")}`
      }`,
    );
    return row.missed.length === 0;
  };
  let found: number | null = null;
  if (flags.find) {
    if (Object.keys(goals).length === 0) {
      throw usageError("Cannot use --find without a goal: give one, such as --ttft-p95 500");
    }
    found = await leastWorkers(
      evaluate,
      numberFlag(flags, "most", { min: 1, max: 1024, integer: true }) ?? 1024,
    );
  } else {
    for (const workers of workerCounts(stringFlag(flags, "workers") ?? "1")) {
      await evaluate(workers);
    }
  }
  if (flags.json) {
    console.log(JSON.stringify(rounded({
      profile: profile.name,
      flags: { ...DEFAULTS, ...flags },
      goals,
      ...(flags.find ? { found } : {}),
      rows: rows.map(({ figures, ...row }) => ({ ...row, ...figures })),
    })));
  } else {
    const lines = table(rows, { goals: Object.keys(goals).length > 0 });
    console.log(`${[profile.name, ...lines].join("\n")}`);
    if (flags.find) {
      console.log(found === null ? "\nno number of workers meets the goals" : `\n${found} workers`);
    }
  }
  return flags.find && found === null ? 1 : 0;
}

function workerCounts(list: string): number[] {
  const counts = [
    ...new Set(list.split(",").map((part) => part.trim() === "" ? NaN : Number(part))),
  ];
  if (counts.every((count) => Number.isInteger(count) && count >= 1 && count <= 1024)) {
    return counts;
  }
  throw usageError(`Cannot use --workers ${list}: each must be a whole number from 1 to 1024`);
}

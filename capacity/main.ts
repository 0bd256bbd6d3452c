/**
 * `deno task simulate`: how many workers a load takes, by simulation. Nothing is computed by a model:
 * the scheduler is the real one, its engine takes the time that `rwkv bench --json` has measured, and
 * time is virtual, so that minutes of many workers pass in seconds. The same seed tells the same.
 *
 * - Speed: `--profile FILE`, a document of `rwkv bench --json` (bench/results/demo-webgpu.json).
 * - Fleet: `--workers N,N,…` (1), or `--find`, the least number up to `--most N` (1024) that holds
 *   the goals; `--slots`, `--queue`, `--turn-seconds`, `--state-cache` of each, as `serve` has them;
 *   `--balancer round-robin|least`; `--shared-cores C`, where engines are on the same few cores.
 * - Load: `--arrivals R`, turns a second (1) of conversations of `--turns N` (5, in the mean), or
 *   `--conversations N` that go on for ever; `--think S` (30) from a reply's end to the next turn, in
 *   the mean; tokens of a turn's `--prompt` and `--reply` (exp:200 each): N, N-N (even between),
 *   N,N,… (one of them), exp:MEAN, or log:MEDIAN:P95; `--max-tokens N` (512) that clients allow.
 * - Around it, in milliseconds: `--kv-load` (2) and `--kv-save` (4) of a state, `--request` (2) for
 *   all before the queue; `--state-bytes N` as stored (half of the profile's).
 * - Goals, each at most: `--ttft-p50|p95|p99`, `--gap-p50|p99`, `--token-p50|p95`, `--queue-p95` in
 *   milliseconds, `--refused` as a part of the turns.
 * - `--seconds N` (300) are measured after `--warmup N` (60); `--seed N` (1); `--json`.
 *
 * A refused turn is not asked for again: its conversation asks for the next one after a pause. Exit
 * status 1 if `--find` finds none.
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
  const tryOut = async (workers: number) => {
    const { figures } = await simulate({ ...options, workers });
    const row = { workers, missed: missedGoals(goals, figures), figures };
    rows.push(row);
    console.error(
      `  ${workers} workers: ${
        row.missed.length === 0 ? "done" : `misses ${row.missed.join(", ")}`
      }`,
    );
    return row.missed.length === 0;
  };
  let found: number | null = null;
  if (flags.find) {
    if (Object.keys(goals).length === 0) {
      throw usageError("Cannot use --find without a goal: give one, as --ttft-p95 500");
    }
    found = await leastWorkers(
      tryOut,
      numberFlag(flags, "most", { min: 1, max: 1024, integer: true }) ?? 1024,
    );
  } else {
    for (const workers of workerCounts(stringFlag(flags, "workers") ?? "1")) await tryOut(workers);
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
      console.log(found === null ? "\nno such number holds the goals" : `\n${found} workers`);
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

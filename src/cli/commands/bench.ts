/** `bench`: measures a model's speed on this machine and compares it with the adapter's limits. */

import type { SamplingEngine } from "../../engine/engine.ts";
import { GpuEngine } from "../../engine/gpu/gpu_engine.ts";
import type { StepProfile } from "../../engine/gpu/profile.ts";
import {
  type BenchmarkPlan,
  type BenchmarkTimings,
  startSlots,
  timeEngine,
} from "../../benchmark/cases.ts";
import { formatColdStartReport, measureColdStarts } from "../bench/cold.ts";
import { currentCommit } from "../../benchmark/commit.ts";
import { buildReport, formatReport, type WeightCounts } from "../bench/report.ts";
import { measureRoofline } from "../../benchmark/roofline.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { findModel } from "../../model_files/find_model.ts";
import type { ModelFiles } from "../../model_files/model_folder.ts";
import { matrixReports } from "../../model_files/model_report.ts";
import { DEFAULT_ENGINE_SIZES, engineOptions, openEngine } from "../../server/open_engine.ts";
import { openModelSource } from "../../model_files/open_model_file.ts";
import { withProgress } from "../output/progress.ts";
import { selectDevice } from "../../server/select_device.ts";
import { printDeviceWarning } from "../output/worker_text.ts";
import { printJson, printText } from "../output/print.ts";
import { type Flags, numberFlag, stringFlag, usageError } from "../../settings/flags.ts";
import { MODEL_FLAGS, TUNE_FLAG } from "../../settings/settings.ts";

export const bench: Command = {
  name: "bench",
  summary: "Measures a model's speed and compares it with the adapter's limits",
  examples: [
    "bench",
    "bench --model RWKV-5-World-0.4B.pth --quant int8 --json",
    "bench --shape 3b --batch 1,16 --prompt 512 --rounds 5",
    "bench --profile --batch 1",
    "bench --cold --rounds 5",
  ],
  flags: {
    ...MODEL_FLAGS,
    batch: {
      type: "string",
      placeholder: "1,8",
      help: "batch sizes to decode with",
      defaultValue: "1,8,32",
    },
    prompt: {
      type: "string",
      placeholder: "32,512",
      help: "prompt lengths in tokens",
      defaultValue: "32,512,2048",
    },
    tokens: {
      type: "string",
      placeholder: "N",
      help: "tokens to decode per slot and round",
      defaultText: "64, limited to 2 s",
    },
    rounds: {
      type: "string",
      placeholder: "N",
      help: "number of rounds, for medians",
      defaultValue: "3",
    },
    ...TUNE_FLAG,
    profile: {
      type: "boolean",
      help: "also time command encoding and each kernel of a decoding step",
    },
    cold: {
      type: "boolean",
      help: "measure worker startup instead, from process start to the first token",
    },
    ...JSON_FLAG,
  },
  run: async (flags) => {
    const plan: BenchmarkPlan = {
      batches: numbers(flags, "batch", { max: 1024, fallback: [1, 8, 32] }),
      prompts: numbers(flags, "prompt", { max: 1e6, fallback: [32, 512, 2048] }),
      tokens: numberFlag(flags, "tokens", { min: 1, max: 1e6, integer: true }),
      rounds: numberFlag(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 3,
    };
    const files = await findModel(flags);
    if (flags.cold) return await benchCold(flags, files, plan);
    const slots = Math.max(...plan.batches);
    const maxStepTokens = Math.max(DEFAULT_ENGINE_SIZES.maxStepTokens, slots);
    const options = {
      ...engineOptions(flags, files, { slots, maxStepTokens }),
      tuning: flags["no-tune"] ? "off" as const : "cached" as const,
    };
    const { model, quant } = await openModelSource(options.source, options.quant);
    const matrices = matrixReports(model, quant);
    await model.close();
    const start = performance.now();
    const engine = await withProgress(
      "Loading",
      (onProgress) =>
        openEngine(options, { onProgress, onNotice: (_, line) => console.error(line) }),
    );
    const loadSeconds = (performance.now() - start) / 1000;
    printDeviceWarning(engine.info);
    let timings: BenchmarkTimings;
    let profiles = new Map<number, StepProfile>();
    try {
      if (flags.profile) profiles = await profileEngine(engine, plan);
      timings = await withProgress(
        "Measuring",
        (onProgress) => timeEngine(engine, plan, onProgress),
        (count) => `${count} runs`,
      );
    } finally {
      await engine.close();
    }
    const { open } = await selectDevice(engine.info.device);
    const report = buildReport(engine.info, timings, {
      model: files.id,
      commit: await currentCommit(),
      roofs: open && await measureRoofline(open),
      loadSeconds,
      weights: weightsOf(matrices),
      profiles,
    });
    if (flags.json) return await printJson(report);
    await printText(`${formatReport(report).join("\n")}\n`);
  },
};

/** Measures worker startup instead of engine steps. */
async function benchCold(
  flags: Flags,
  files: ModelFiles,
  { rounds }: BenchmarkPlan,
): Promise<void> {
  const { state } = await Deno.permissions.query({ name: "run", command: Deno.execPath() });
  if (state !== "granted") {
    throw usageError(
      "Cannot use --cold: this task may not start processes; use deno task bench --cold",
    );
  }
  const report = await withProgress(
    "Starting",
    async (onProgress) =>
      await measureColdStarts(flags, files, { rounds, commit: await currentCommit(), onProgress }),
    (count) => `${count} workers`,
  );
  if (flags.json) return await printJson(report);
  await printText(`${formatColdStartReport(report).join("\n")}\n`);
}

/** Returns the time of each kernel in a decoding step, by batch size. */
async function profileEngine(
  engine: SamplingEngine,
  { batches, rounds }: BenchmarkPlan,
): Promise<Map<number, StepProfile>> {
  if (!(engine instanceof GpuEngine)) {
    throw usageError(
      "Cannot use --profile: it requires a WebGPU adapter; --device webgpu also accepts a " +
        "software adapter",
    );
  }
  const profiles = new Map<number, StepProfile>();
  for (const batch of batches) {
    await startSlots(engine, Array.from({ length: batch }, () => [1]));
    profiles.set(batch, await engine.profile(batch, rounds));
  }
  return profiles;
}

function weightsOf(matrices: ReturnType<typeof matrixReports>): WeightCounts {
  const weights: WeightCounts = { embeddingBytes: 0, layers: 0, head: 0 };
  for (const { name, shape: [rows, columns], bytes } of matrices) {
    if (name === "emb.weight") weights.embeddingBytes += bytes;
    else if (name === "head.weight") weights.head += rows * columns;
    else weights.layers += rows * columns;
  }
  return weights;
}

/** Parses a flag as a list of whole numbers from 1 to `max` and drops duplicates. */
function numbers(
  flags: Flags,
  name: string,
  { max, fallback }: { max: number; fallback: readonly number[] },
): number[] {
  const list = stringFlag(flags, name);
  if (list === undefined) return [...fallback];
  return [
    ...new Set(
      list.split(",").map((part) => {
        const value = /^\s*\d+\s*$/.test(part) ? Number(part) : NaN;
        if (value >= 1 && value <= max) return value;
        throw usageError(
          `Cannot use --${name} ${list}: "${part.trim()}" is not a whole number from 1 to ${max}`,
        );
      }),
    ),
  ];
}

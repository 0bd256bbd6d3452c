/** `tune`: times kernel sizes on this machine's adapter and caches the fastest. */

import { InferenceError } from "../../core/errors.ts";
import type { LinearChoice } from "../../engine/gpu/linear_choice.ts";
import { tune, type Tuning } from "../../engine/gpu/tune.ts";
import { type Command, JSON_FLAG } from "../args/command.ts";
import { findModel } from "../../model_files/find_model.ts";
import { DEFAULT_ENGINE_SIZES } from "../../server/open_engine.ts";
import { openModelSource } from "../../model_files/open_model_file.ts";
import { selectDevice } from "../../server/select_device.ts";
import { TuningCache } from "../../server/tuning_cache.ts";
import { printJson, printText } from "../output/print.ts";
import { engineFlags } from "../../settings/model_settings.ts";
import { MODEL_FLAGS } from "../../settings/settings.ts";

export const tuneCommand: Command = {
  name: "tune",
  summary: "Times kernel sizes on this machine's adapter and caches the fastest",
  details: [
    "A worker on a hardware adapter tunes its kernels after 5 s without requests. Run this " +
    "command to have tuned kernels from the first request, for example while an image is built. " +
    "The cache is in data/tuning, with a file per adapter, model size and weight type. Tuning " +
    "changes only the speed, not the results.",
  ],
  examples: ["tune", "tune --model 1.5b --quant int8", "tune --device webgpu --json"],
  flags: { ...MODEL_FLAGS, ...JSON_FLAG },
  run: async (flags) => {
    const { device, quant: requestedQuant } = engineFlags(flags);
    const files = await findModel(flags);
    const { open, selection } = await selectDevice(device);
    if (!open) {
      throw new InferenceError(
        "no_adapter",
        `Cannot tune kernels: they run on WebGPU only. ${selection.reason}`,
        { param: "device" },
      );
    }
    const { model, quant } = await openModelSource(files.source, requestedQuant);
    const cache = new TuningCache(open.adapter, model, { quant, ...DEFAULT_ENGINE_SIZES });
    await model.close();
    const start = performance.now();
    const tuning = await tune(open, cache.sizes);
    if (!tuning) {
      throw new InferenceError(
        "unsupported_value",
        `Cannot tune kernels: ${open.adapter} has no timestamp queries to time them with`,
      );
    }
    const seconds = (performance.now() - start) / 1000;
    await cache.write(tuning);
    if (flags.json) {
      return await printJson({ adapter: open.adapter, path: cache.path, seconds, ...tuning });
    }
    await printText(`${report(tuning, { adapter: open.adapter, path: cache.path, seconds })}\n`);
  },
};

function report(
  { choices, stepTokens }: Tuning,
  { adapter, path, seconds }: { adapter: string; path: string; seconds: number },
): string {
  const lines = choices.map(({ tokens, tile }, i) => {
    const from = i === 0 ? 1 : choices[i - 1].tokens + 1;
    const range = tokens === Number.MAX_SAFE_INTEGER
      ? `${from} or more`
      : from === tokens
      ? `${tokens}`
      : `${from} to ${tokens}`;
    return `  ${range.padEnd(10)} ${tileText(tile)}`;
  });
  return [
    `${adapter}, tuned in ${seconds.toFixed(1)} s`,
    "tokens per step, and the kernel for matrix products",
    ...lines,
    `prefill in steps of ${stepTokens} tokens`,
    `cached in ${path}`,
  ].join("\n");
}

function tileText(tile: LinearChoice["tile"]): string {
  if (!tile) return "matmul, shared-memory tiles";
  const { rowBlocks, tokens, lanes, threadBlocks } = tile;
  const threads = 8 * lanes * threadBlocks;
  return `linear_rows, ${rowBlocks} x ${tokens} (rows x tokens) per thread, ` +
    `${lanes} ${lanes === 1 ? "thread" : "threads"} per row, ${threads} threads per workgroup`;
}

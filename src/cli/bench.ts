/** `bench`: how fast a model runs on this machine, and how near to what its adapter can do. */

import type { Engine } from "../engine/engine.ts";
import { digits, type Plan, type Spread, timeEngine, type Timings } from "./bench_cases.ts";
import { measureRoofs, type Roofs } from "./bench_roofs.ts";
import {
  type Command,
  type Flags,
  JSON_FLAG,
  MODEL_FLAGS,
  number,
  printJson,
  printText,
  text,
  usageError,
} from "./command.ts";
import { findModel } from "./model_files.ts";
import { matrixReports } from "./model_report.ts";
import {
  chooseDevice,
  cpuNotice,
  engineOptions,
  openEngine,
  openSource,
  SERVED,
} from "./open_engine.ts";
import { withProgress } from "./progress.ts";
import { bytesText } from "./units.ts";

/** What a token asks of the weights. */
interface Weights {
  /** Bytes of the embedding matrix, of which a token takes one row only. */
  embeddingBytes: number;
  /** Weights of the layers' matrices, which every token is multiplied with. */
  layers: number;
  /** Weights of the head, which only tokens whose logits are wanted are multiplied with. */
  head: number;
}

/** The document of `--json`. */
interface Report {
  model: string;
  device: string;
  adapter: string;
  software: boolean;
  quant: string;
  /** The code's, where git tells. */
  commit: string | null;
  /** The adapter's; null on the CPU engine. */
  roofs: Roofs | null;
  /** Seconds to open the device, read the weights and build the pipelines. */
  load_s: number;
  /** `share_of_read`: bytes of weights that tokens take, per second, over `read_gb_s`. */
  decode: { batch: number; tokens_per_second: Spread; share_of_read?: number }[];
  /** `share_of_fma`: multiply-adds of the matrices alone, per second, over `fma_gflop_s`. */
  prefill: {
    tokens: number;
    tokens_per_second: Spread;
    seconds_to_first_token: Spread;
    share_of_fma?: number;
  }[];
  state: { bytes: number; read_ms: Spread; write_ms: Spread };
}

export const bench: Command = {
  name: "bench",
  summary: "Measures a model's speed here, and what share of the adapter's own it is",
  examples: [
    "bench",
    "bench --model RWKV-5-World-0.4B.pth --quant int8 --json",
    "bench --shape 3b --batch 1,16 --prompt 512 --rounds 5",
  ],
  flags: {
    ...MODEL_FLAGS,
    batch: { type: "string", value: "1,8", help: "conversations to decode at once (1,8,32)" },
    prompt: { type: "string", value: "32,512", help: "tokens of prompts to read (32,512,2048)" },
    tokens: {
      type: "string",
      value: "N",
      help: "tokens to decode in each conversation and round (64, or what 2 s are enough for)",
    },
    rounds: { type: "string", value: "N", help: "rounds, of which the medians are told (3)" },
    ...JSON_FLAG,
  },
  run: async (flags) => {
    const plan: Plan = {
      batches: numbers(flags, "batch", { max: 1024, otherwise: [1, 8, 32] }),
      prompts: numbers(flags, "prompt", { max: 1e6, otherwise: [32, 512, 2048] }),
      tokens: number(flags, "tokens", { min: 1, max: 1e6, integer: true }),
      rounds: number(flags, "rounds", { min: 1, max: 1000, integer: true }) ?? 3,
    };
    const files = await findModel(flags);
    const slots = Math.max(...plan.batches);
    const maxStepTokens = Math.max(SERVED.maxStepTokens, slots);
    const options = engineOptions(flags, files, { slots, maxStepTokens });
    const { model, quant } = await openSource(options.source, options.quant);
    const matrices = matrixReports(model, quant);
    await model.close();
    const start = performance.now();
    const engine = await withProgress("Loading", (onProgress) => openEngine(options, onProgress));
    const loadSeconds = (performance.now() - start) / 1000;
    const notice = cpuNotice(engine.info, flags);
    if (notice) console.error(notice);
    let timings: Timings;
    try {
      timings = await withProgress(
        "Measuring",
        (onProgress) => timeEngine(engine, plan, onProgress),
        (count) => `${count} runs`,
      );
    } finally {
      await engine.close();
    }
    const open = engine.info.device === "webgpu" ? await chooseDevice("webgpu") : null;
    const report = makeReport(engine.info, timings, {
      model: files.id,
      commit: await commit(),
      roofs: open && await measureRoofs(open),
      loadSeconds,
      weights: weightsOf(matrices),
    });
    if (flags.json) return await printJson(report);
    await printText(`${table(report).join("\n")}\n`);
  },
};

function weightsOf(matrices: ReturnType<typeof matrixReports>): Weights {
  const weights: Weights = { embeddingBytes: 0, layers: 0, head: 0 };
  for (const { name, shape: [rows, columns], bytes } of matrices) {
    if (name === "emb.weight") weights.embeddingBytes += bytes;
    else if (name === "head.weight") weights.head += rows * columns;
    else weights.layers += rows * columns;
  }
  return weights;
}

function makeReport(
  { device, adapter, software, quant, memory }: Engine["info"],
  { decode, prefill, state }: Timings,
  { model, commit, roofs, loadSeconds, weights }: {
    model: string;
    commit: string | null;
    roofs: Roofs | null;
    loadSeconds: number;
    weights: Weights;
  },
): Report {
  // A token reads every weight once, but of the embedding one row, which is left out here.
  const tokenBytes = memory.weights - weights.embeddingBytes;
  return {
    model,
    device,
    adapter,
    software,
    quant,
    commit,
    roofs: roofs &&
      { read_gb_s: digits(roofs.read_gb_s), fma_gflop_s: digits(roofs.fma_gflop_s) },
    load_s: digits(loadSeconds),
    decode: decode.map(({ batch, rate }) => ({
      batch,
      tokens_per_second: rate,
      ...(roofs && batch === 1
        ? { share_of_read: digits(tokenBytes * rate.median / 1e9 / roofs.read_gb_s) }
        : {}),
    })),
    prefill: prefill.map(({ tokens, rate, first }) => {
      const operations = 2 * (weights.layers + weights.head / tokens);
      return {
        tokens,
        tokens_per_second: rate,
        seconds_to_first_token: first,
        ...(roofs
          ? { share_of_fma: digits(operations * rate.median / 1e9 / roofs.fma_gflop_s) }
          : {}),
      };
    }),
    state: { bytes: state.bytes, read_ms: state.read, write_ms: state.write },
  };
}

/** A line of the table. */
interface Row {
  what: string;
  figures: string;
  share?: string;
}

/** The report for people. */
function table(report: Report): string[] {
  const { roofs, decode, prefill, state } = report;
  const rows: Row[] = [
    ...decode.map(({ batch, tokens_per_second, share_of_read }): Row => ({
      what: `decode, ${batch} at once`,
      figures: `${shown(tokens_per_second)} tokens/s`,
      share: percent(share_of_read, "streaming read"),
    })),
    ...prefill.map(({ tokens, tokens_per_second, share_of_fma }): Row => ({
      what: `prompt of ${tokens}`,
      figures: `${shown(tokens_per_second)} tokens/s`,
      share: percent(share_of_fma, "multiply-add"),
    })),
    ...prefill.map(({ tokens, seconds_to_first_token }): Row => ({
      what: `first token, prompt of ${tokens}`,
      figures: `${shown(seconds_to_first_token)} s`,
    })),
    { what: `state read, ${bytesText(state.bytes)}`, figures: `${shown(state.read_ms)} ms` },
    { what: `state write, ${bytesText(state.bytes)}`, figures: `${shown(state.write_ms)} ms` },
    { what: "load", figures: `${report.load_s} s` },
  ];
  if (roofs) {
    rows.push(
      { what: "adapter: streaming read", figures: `${roofs.read_gb_s} GB/s` },
      { what: "adapter: multiply-add", figures: `${roofs.fma_gflop_s} GFLOP/s` },
    );
  }
  const width = Math.max(...rows.map(({ what }) => what.length));
  const figuresWidth = Math.max(...rows.map(({ figures }) => figures.length));
  return [
    `${report.model} as ${report.quant} on ${report.adapter}` +
    `${report.commit ? `, commit ${report.commit}` : ""}`,
    "median (min to max)",
    ...rows.map(({ what, figures, share = "" }) =>
      `  ${what.padEnd(width)}  ${figures.padEnd(figuresWidth)}  ${share}`.trimEnd()
    ),
  ];
}

function shown({ median, min, max }: Spread): string {
  return `${median} (${min} to ${max})`;
}

function percent(share: number | undefined, of: string): string {
  return share === undefined ? "" : `${Number((share * 100).toPrecision(3))} % of ${of}`;
}

/** A flag's list of whole numbers from 1 to `max`, each once. */
function numbers(
  flags: Flags,
  name: string,
  { max, otherwise }: { max: number; otherwise: readonly number[] },
): number[] {
  const list = text(flags, name);
  if (list === undefined) return [...otherwise];
  return [
    ...new Set(
      list.split(",").map((part) => {
        const value = /^\s*\d+\s*$/.test(part) ? Number(part) : NaN;
        if (value >= 1 && value <= max) return value;
        throw usageError(
          `Cannot use --${name} ${list}: "${part.trim()}" is no whole number from 1 to ${max}`,
        );
      }),
    ),
  ];
}

/** The commit that runs, where git is there and may be asked. */
async function commit(): Promise<string | null> {
  const { state } = await Deno.permissions.query({ name: "run", command: "git" });
  if (state !== "granted") return null;
  try {
    const cwd = new URL("../..", import.meta.url);
    const args = ["describe", "--always", "--dirty"];
    const { success, stdout } = await new Deno.Command("git", { args, cwd }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

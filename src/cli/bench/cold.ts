/**
 * `bench --cold`: how long workers take from the start of their process to the first token, part by
 * part, and how near the weights' way to the device comes to what file and device allow.
 */

import type { LoadTimes } from "../../engine/engine.ts";
import { type Spread, summarize } from "../../benchmark/cases.ts";
import { type ColdStart, measureColdStart } from "../../benchmark/cold_start.ts";
import { loadRate, readRate, uploadRate } from "../../benchmark/load_roofline.ts";
import type { ModelFiles } from "../../model_files/model_folder.ts";
import { engineOptions } from "../../server/open_engine.ts";
import { selectDevice } from "../../server/select_device.ts";
import { LOAD_PHASES } from "../../server/startup_log.ts";
import { formatBytes } from "../../core/units.ts";
import { type Flags, text } from "../../settings/flags.ts";
import { engineFlags } from "../../settings/model_settings.ts";

/** The document of `--json`. */
export interface ColdStartReport {
  model: string;
  device: string;
  adapter: string;
  quant: string;
  /** The code's, where git tells. */
  commit: string | null;
  /** From the start of the process, in milliseconds. */
  listening_ms: Spread;
  ready_ms: Spread;
  first_token_ms: Spread;
  /** Milliseconds of the engine's parts, between listening and ready. */
  loading_ms: Partial<Record<keyof LoadTimes, Spread>>;
  load?: LoadReport;
}

/** Of a model from a file, on a device. */
interface LoadReport {
  /** Of the weights, as they are held. */
  bytes: number;
  /** From the file to the device, with no kernels to build meanwhile. */
  weights_gb_s: Spread;
  /** Reading the file, and nothing else. */
  read_gb_s: Spread;
  /** Sending bytes to the device, and nothing else. */
  upload_gb_s: Spread;
  /** Of what the slower of both allows. */
  share: Spread;
}

/** Flags of `bench` that the worker is started with. */
const PASSED = ["model", "shape", "vocab", "device", "quant", "group-norm-eps"];

/** Bytes per second, of one round. */
interface Rates {
  weights: number;
  read: number;
  upload: number;
}

/** Starts as many workers as there are rounds, one after the other. */
export async function measureColdStarts(
  flags: Flags,
  files: ModelFiles,
  { rounds, commit, onProgress }: {
    rounds: number;
    commit: string | null;
    onProgress: (done: number, total: number) => void;
  },
): Promise<ColdStartReport> {
  const args = PASSED.flatMap((name) => {
    const value = text(flags, name);
    return value === undefined ? [] : [`--${name}`, value];
  });
  if (flags["no-tune"]) args.push("--no-tune");
  const starts: ColdStart[] = [];
  const rates: Rates[] = [];
  // The first one finds files and kernels' choices that later ones have: it is no part of the figures.
  await measureColdStart(args);
  const { from } = files.source;
  const file = "file" in from ? from.file : null;
  const device = engineFlags(flags).device;
  const { open } = await selectDevice(file === null ? "cpu" : device);
  const options = engineOptions(flags, files, { slots: 1, maxStepTokens: 1 });
  for (let round = 0; round < rounds; round++) {
    if (open && file !== null) {
      rates.push({
        weights: await loadRate(open, options),
        read: await readRate(file),
        upload: await uploadRate(open),
      });
    }
    starts.push(await measureColdStart(args));
    onProgress(round + 1, rounds);
  }
  open?.device.destroy();
  return makeReport(starts, rates, commit);
}

function makeReport(
  starts: readonly ColdStart[],
  rates: readonly Rates[],
  commit: string | null,
): ColdStartReport {
  const [{ worker: { model, device, adapter, quant, memory } }] = starts;
  const loading = LOAD_PHASES.flatMap((part) => {
    const times = starts.map((start) => start.loading[part]);
    return times.includes(undefined) ? [] : [[part, summarize(times as number[])]];
  });
  return {
    model: model!,
    device: device!,
    adapter: adapter!,
    quant: quant!,
    commit,
    listening_ms: summarize(starts.map(({ listeningMs: listening }) => listening)),
    ready_ms: summarize(starts.map(({ readyMs: ready }) => ready)),
    first_token_ms: summarize(starts.map(({ firstTokenMs: firstToken }) => firstToken)),
    loading_ms: Object.fromEntries(loading),
    ...(rates.length === 0 ? {} : {
      load: {
        bytes: memory!.weights,
        weights_gb_s: summarize(rates.map(({ weights }) => weights / 1e9)),
        read_gb_s: summarize(rates.map(({ read }) => read / 1e9)),
        upload_gb_s: summarize(rates.map(({ upload }) => upload / 1e9)),
        share: summarize(
          rates.map(({ weights, read, upload }) => weights / Math.min(read, upload)),
        ),
      },
    }),
  };
}

/** What a part of the start is, for people. */
const PARTS: Record<keyof LoadTimes, string> = {
  model: "opening the model's file",
  device: "opening the device",
  tuning: "reading the tuning cache",
  weights: "sending the weights",
  kernels: "meanwhile, building kernels",
};

/** The report for people. */
export function formatColdStartReport(report: ColdStartReport): string[] {
  const { loading_ms, load } = report;
  const ms = (spread: Spread) => `${shown(spread)} ms`;
  const rows: [string, string][] = [
    ["process to listening", ms(report.listening_ms)],
    ...LOAD_PHASES.flatMap((part): [string, string][] => {
      const taken = loading_ms[part];
      return taken ? [[`  ${PARTS[part]}`, ms(taken)]] : [];
    }),
    ["process to ready", ms(report.ready_ms)],
    ["process to first token", ms(report.first_token_ms)],
  ];
  if (load) {
    rows.push(
      [`${formatBytes(load.bytes)} of weights`, `${shown(load.weights_gb_s)} GB/s`],
      ["  reading the file alone", `${shown(load.read_gb_s)} GB/s`],
      ["  sending bytes alone", `${shown(load.upload_gb_s)} GB/s`],
      ["  share of the slower", shown(load.share)],
    );
  }
  const width = Math.max(...rows.map(([what]) => what.length));
  return [
    `${report.model} as ${report.quant} on ${report.adapter}` +
    `${report.commit ? `, commit ${report.commit}` : ""}`,
    "median (min to max) of workers started one after the other, after one that is not counted",
    ...rows.map(([what, figures]) => `  ${what.padEnd(width)}  ${figures}`),
  ];
}

function shown({ median, min, max }: Spread): string {
  return `${median} (${min} to ${max})`;
}

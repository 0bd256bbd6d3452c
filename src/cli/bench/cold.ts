/**
 * `bench --cold`: measures how long workers take from process start to the first token, by phase,
 * and compares the weight upload rate with the limits of the file and the device.
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
import { type Flags, stringFlag } from "../../settings/flags.ts";
import { engineFlags } from "../../settings/model_settings.ts";

/** The JSON document that `--json` prints. */
export interface ColdStartReport {
  model: string;
  device: string;
  adapter: string;
  quant: string;
  /** The commit of this program, if git is available. */
  commit: string | null;
  /** Milliseconds since process start. */
  listening_ms: Spread;
  ready_ms: Spread;
  first_token_ms: Spread;
  /** Milliseconds of each engine loading phase, between listening and ready. */
  loading_ms: Partial<Record<keyof LoadTimes, Spread>>;
  load?: LoadReport;
}

/** Weight loading rates of a model file on a device. */
interface LoadReport {
  /** Bytes of the weights in device memory. */
  bytes: number;
  /** From the file to the device, without kernel compilation in parallel. */
  weights_gb_s: Spread;
  /** Reading the file only. */
  read_gb_s: Spread;
  /** Uploading bytes to the device only. */
  upload_gb_s: Spread;
  /** Fraction of the slower of the two rates above. */
  share: Spread;
}

/** Flags of `bench` that are passed to the worker. */
const PASSED_FLAGS = ["model", "shape", "vocab", "device", "quant", "group-norm-eps"];

/** Bytes per second in one round. */
interface Rates {
  weights: number;
  read: number;
  upload: number;
}

/** Starts one worker per round, one after another. */
export async function measureColdStarts(
  flags: Flags,
  files: ModelFiles,
  { rounds, commit, onProgress }: {
    rounds: number;
    commit: string | null;
    onProgress: (done: number, total: number) => void;
  },
): Promise<ColdStartReport> {
  const args = PASSED_FLAGS.flatMap((name) => {
    const value = stringFlag(flags, name);
    return value === undefined ? [] : [`--${name}`, value];
  });
  if (flags["no-tune"]) args.push("--no-tune");
  const starts: ColdStart[] = [];
  const rates: Rates[] = [];
  // The first start fills the file cache and the tuning cache, so it is not measured.
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
  const loading = LOAD_PHASES.flatMap((phase) => {
    const times = starts.map((start) => start.loading[phase]);
    return times.includes(undefined) ? [] : [[phase, summarize(times as number[])]];
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

/** Labels of the loading phases. */
const PHASE_LABELS: Record<keyof LoadTimes, string> = {
  model: "open the model file",
  device: "open the device",
  tuning: "read the tuning cache",
  weights: "upload the weights",
  kernels: "compile kernels (in parallel)",
};

/** Formats the report as text. */
export function formatColdStartReport(report: ColdStartReport): string[] {
  const { loading_ms, load } = report;
  const ms = (spread: Spread) => `${formatSpread(spread)} ms`;
  const rows: [string, string][] = [
    ["process to listening", ms(report.listening_ms)],
    ...LOAD_PHASES.flatMap((phase): [string, string][] => {
      const duration = loading_ms[phase];
      return duration ? [[`  ${PHASE_LABELS[phase]}`, ms(duration)]] : [];
    }),
    ["process to ready", ms(report.ready_ms)],
    ["process to first token", ms(report.first_token_ms)],
  ];
  if (load) {
    rows.push(
      [`${formatBytes(load.bytes)} of weights`, `${formatSpread(load.weights_gb_s)} GB/s`],
      ["  file read only", `${formatSpread(load.read_gb_s)} GB/s`],
      ["  upload only", `${formatSpread(load.upload_gb_s)} GB/s`],
      ["  fraction of the slower", formatSpread(load.share)],
    );
  }
  const width = Math.max(...rows.map(([what]) => what.length));
  return [
    `${report.model} as ${report.quant} on ${report.adapter}` +
    `${report.commit ? `, commit ${report.commit}` : ""}`,
    "median (min to max) of sequential worker starts, after a warm-up start",
    ...rows.map(([what, figures]) => `  ${what.padEnd(width)}  ${figures}`),
  ];
}

function formatSpread({ median, min, max }: Spread): string {
  return `${median} (${min} to ${max})`;
}

/** The results of `bench`, as a JSON document and as a table. */

import type { EngineInfo } from "../../engine/engine.ts";
import type { StepProfile } from "../../engine/gpu/profile.ts";
import {
  type BenchmarkTimings,
  roundToFourDigits,
  type Spread,
  summarize,
} from "../../benchmark/cases.ts";
import type { Roofline } from "../../benchmark/roofline.ts";
import { formatBytes } from "../../core/units.ts";

/** Weight counts that determine the memory traffic and operations per token. */
export interface WeightCounts {
  /** Bytes of the embedding matrix. A token reads only one row of it. */
  embeddingBytes: number;
  /** Weights of the layer matrices, which multiply every token. */
  layers: number;
  /** Weights of the head, which multiply only tokens whose logits are needed. */
  head: number;
}

/** Time per kernel of a decoding step with `batch` slots. */
interface ProfileReport {
  batch: number;
  dispatches_per_step: number;
  /** CPU time in milliseconds. */
  encode_ms: Spread;
  kernels: {
    kernel: string;
    dispatches: number;
    /** Sum over all dispatches, from device timestamps, with one pass per dispatch. */
    ms: Spread;
    /** Fraction of the sum over all kernels. */
    share: number;
    /** Required traffic per second: weights, states and logits that are read or written. */
    gb_s: number;
    share_of_read: number;
  }[];
}

/** The JSON document that `--json` prints. */
export interface BenchmarkReport {
  model: string;
  device: string;
  adapter: string;
  software: boolean;
  quant: string;
  /** The commit of this program, if git is available. */
  commit: string | null;
  /** Limits of the adapter, or null on the CPU engine. */
  roofs: Roofline | null;
  /** Seconds to open the device, load the weights and build the pipelines. */
  load_s: number;
  /** `share_of_read`: weight bytes read per second, divided by `read_gb_s`. */
  decode: { batch: number; tokens_per_second: Spread; share_of_read?: number }[];
  /** `share_of_fma`: multiply-adds of the matrices per second, divided by `fma_gflop_s`. */
  prefill: {
    tokens: number;
    tokens_per_second: Spread;
    seconds_to_first_token: Spread;
    share_of_fma?: number;
  }[];
  state: { bytes: number; read_ms: Spread; write_ms: Spread };
  /** Only with `--profile`. */
  profile?: ProfileReport[];
}

/** Builds the report from the measurements. */
export function buildReport(
  { device, adapter, software, quant, memory }: EngineInfo,
  { decode, prefill, state }: BenchmarkTimings,
  { model, commit, roofs, loadSeconds, weights, profiles }: {
    model: string;
    commit: string | null;
    roofs: Roofline | null;
    loadSeconds: number;
    weights: WeightCounts;
    /** By batch size. */
    profiles: ReadonlyMap<number, StepProfile>;
  },
): BenchmarkReport {
  // A token reads every weight once, except for the embedding: its single row is negligible.
  const tokenBytes = memory.weights - weights.embeddingBytes;
  return {
    model,
    device,
    adapter,
    software,
    quant,
    commit,
    roofs: roofs &&
      {
        read_gb_s: roundToFourDigits(roofs.read_gb_s),
        fma_gflop_s: roundToFourDigits(roofs.fma_gflop_s),
      },
    load_s: roundToFourDigits(loadSeconds),
    decode: decode.map(({ batch, rate }) => ({
      batch,
      tokens_per_second: rate,
      ...(roofs && batch === 1
        ? { share_of_read: roundToFourDigits(tokenBytes * rate.median / 1e9 / roofs.read_gb_s) }
        : {}),
    })),
    prefill: prefill.map(({ tokens, rate, first }) => {
      const operations = 2 * (weights.layers + weights.head / tokens);
      return {
        tokens,
        tokens_per_second: rate,
        seconds_to_first_token: first,
        ...(roofs
          ? { share_of_fma: roundToFourDigits(operations * rate.median / 1e9 / roofs.fma_gflop_s) }
          : {}),
      };
    }),
    state: { bytes: state.bytes, read_ms: state.read, write_ms: state.write },
    ...(roofs && profiles.size > 0
      ? { profile: [...profiles].map(([batch, step]) => profileReport(batch, step, roofs)) }
      : {}),
  };
}

function profileReport(
  batch: number,
  { dispatches, encodeMs, kernels }: StepProfile,
  { read_gb_s }: Roofline,
): ProfileReport {
  const timed = kernels.map((kernel) => ({ ...kernel, ms: summarize(kernel.ms) }));
  const total = timed.reduce((sum, { ms }) => sum + ms.median, 0);
  return {
    batch,
    dispatches_per_step: dispatches,
    encode_ms: summarize(encodeMs),
    kernels: timed.map(({ kernel, dispatches, ms, bytes }) => {
      const rate = bytes / 1e6 / ms.median;
      return {
        kernel,
        dispatches,
        ms,
        share: roundToFourDigits(ms.median / total),
        gb_s: roundToFourDigits(rate),
        share_of_read: roundToFourDigits(rate / read_gb_s),
      };
    }),
  };
}

/** One row of the table. */
interface Row {
  what: string;
  figures: string;
  share?: string;
}

/** Formats the report as text. */
export function formatReport(report: BenchmarkReport): string[] {
  const { roofs, decode, prefill, state } = report;
  const rows: Row[] = [
    ...decode.map(({ batch, tokens_per_second, share_of_read }): Row => ({
      what: `decode, batch ${batch}`,
      figures: `${formatSpread(tokens_per_second)} tokens/s`,
      share: percent(share_of_read, "streaming read"),
    })),
    ...prefill.map(({ tokens, tokens_per_second, share_of_fma }): Row => ({
      what: `prompt of ${tokens}`,
      figures: `${formatSpread(tokens_per_second)} tokens/s`,
      share: percent(share_of_fma, "multiply-add"),
    })),
    ...prefill.map(({ tokens, seconds_to_first_token }): Row => ({
      what: `first token, prompt of ${tokens}`,
      figures: `${formatSpread(seconds_to_first_token)} s`,
    })),
    {
      what: `state read, ${formatBytes(state.bytes)}`,
      figures: `${formatSpread(state.read_ms)} ms`,
    },
    {
      what: `state write, ${formatBytes(state.bytes)}`,
      figures: `${formatSpread(state.write_ms)} ms`,
    },
    { what: "load", figures: `${report.load_s} s` },
  ];
  if (roofs) {
    rows.push(
      { what: "adapter: streaming read", figures: `${roofs.read_gb_s} GB/s` },
      { what: "adapter: multiply-add", figures: `${roofs.fma_gflop_s} GFLOP/s` },
    );
  }
  for (const { batch, dispatches_per_step, encode_ms, kernels } of report.profile ?? []) {
    const step = `step, batch ${batch}`;
    rows.push(
      { what: `${step}: dispatches`, figures: `${dispatches_per_step}` },
      { what: `${step}: encode`, figures: `${formatSpread(encode_ms)} ms` },
      ...kernels.map(({ kernel, dispatches, ms, share, gb_s, share_of_read }): Row => ({
        what: `  ${dispatches} x ${kernel}`,
        figures: `${formatSpread(ms)} ms`,
        share: `${percent(share, "the step")}` +
          (gb_s > 0 ? `, ${gb_s} GB/s, ${percent(share_of_read, "streaming read")}` : ""),
      })),
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

function formatSpread({ median, min, max }: Spread): string {
  return `${median} (${min} to ${max})`;
}

function percent(share: number | undefined, of: string): string {
  return share === undefined ? "" : `${Number((share * 100).toPrecision(3))} % of ${of}`;
}

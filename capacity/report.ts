/** Formats the results of simulations as a table. */

import { roundToFourDigits } from "../src/benchmark/cases.ts";
import type { Simulated } from "./fleet.ts";
import type { Quantiles } from "./turn_times.ts";

/** A fleet and its results. */
export interface Row {
  workers: number;
  /** Names of the goals that it misses. */
  missed: string[];
  figures: Simulated["figures"];
}

/** The table's lines and their values for a fleet. */
const LINES: readonly [string, (row: Row) => string][] = [
  ["turns requested", ({ figures: { turns } }) => `${turns.asked}`],
  ["  completed", ({ figures: { turns } }) => `${turns.finished}`],
  ["  rejected", ({ figures: { turns, refused } }) => `${turns.refused} (${percentage(refused)})`],
  ["  in progress at the end", ({ figures: { turns } }) => `${turns.under_way}`],
  ["time to first token, p50 ms", ({ figures }) => quantile(figures.ttft_ms, "p50")],
  ["time to first token, p95 ms", ({ figures }) => quantile(figures.ttft_ms, "p95")],
  ["time to first token, p99 ms", ({ figures }) => quantile(figures.ttft_ms, "p99")],
  ["inter-chunk latency, p50 ms", ({ figures }) => quantile(figures.gap_ms, "p50")],
  ["inter-chunk latency, p99 ms", ({ figures }) => quantile(figures.gap_ms, "p99")],
  ["time per output token, p50 ms", ({ figures }) => quantile(figures.token_ms, "p50")],
  ["time per output token, p95 ms", ({ figures }) => quantile(figures.token_ms, "p95")],
  ["queue time, p50 ms", ({ figures }) => quantile(figures.queue_ms, "p50")],
  ["queue time, p95 ms", ({ figures }) => quantile(figures.queue_ms, "p95")],
  ["engine utilisation", ({ figures }) => percentage(figures.utilisation.mean)],
  ["generated tokens per step", ({ figures }) => threeDigits(figures.batch)],
  ["turns in progress", ({ figures }) => threeDigits(figures.present)],
  ["turns per second", ({ figures }) => threeDigits(figures.turns_per_second)],
  ["generated tokens per second", ({ figures }) => threeDigits(figures.tokens_per_second)],
  ["prompt tokens per second", ({ figures }) => threeDigits(figures.read_per_second)],
  ["state loads per second", ({ figures }) => threeDigits(figures.states.loads_per_second)],
  ["state saves per second", ({ figures }) => threeDigits(figures.states.saves_per_second)],
];

/** Returns the table's lines: a column for each fleet, the smallest first. */
export function table(rows: readonly Row[], { goals }: { goals: boolean }): string[] {
  const sorted = rows.toSorted((a, b) => a.workers - b.workers);
  const lines: [string, ...string[]][] = [
    ["workers", ...sorted.map(({ workers }) => `${workers}`)],
    ...LINES.map(([name, format]): [string, ...string[]] => [name, ...sorted.map(format)]),
  ];
  if (goals) lines.push(["misses", ...sorted.map(({ missed }) => missed.join(" ") || "-")]);
  const widths = lines[0].map((_, i) => Math.max(...lines.map((cells) => cells[i].length)));
  return lines.map((cells) =>
    cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
  );
}

/** Rounds all numbers of a document to four significant digits. */
export function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) ? value : roundToFourDigits(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, rounded(inner)]));
}

function quantile(quantiles: Quantiles | null, part: keyof Quantiles): string {
  return quantiles === null ? "-" : threeDigits(quantiles[part]);
}

function threeDigits(value: number): string {
  return `${Number(value.toPrecision(3))}`;
}

function percentage(part: number): string {
  return `${Number((100 * part).toPrecision(3))} %`;
}

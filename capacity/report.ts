/** What simulations have told, for people. */

import { roundToFourDigits } from "../src/benchmark/cases.ts";
import type { Simulated } from "./fleet.ts";
import type { Quantiles } from "./turn_times.ts";

/** A fleet and what it did. */
export interface Row {
  workers: number;
  /** Goals that it misses. */
  missed: string[];
  figures: Simulated["figures"];
}

/** What is told of every fleet, by the table's lines. */
const LINES: readonly [string, (row: Row) => string][] = [
  ["turns asked for", ({ figures: { turns } }) => `${turns.asked}`],
  ["  finished", ({ figures: { turns } }) => `${turns.finished}`],
  ["  refused", ({ figures: { turns, refused } }) => `${turns.refused} (${percent(refused)})`],
  ["  under way at the end", ({ figures: { turns } }) => `${turns.under_way}`],
  ["first token, p50 ms", ({ figures }) => quantile(figures.ttft_ms, "p50")],
  ["first token, p95 ms", ({ figures }) => quantile(figures.ttft_ms, "p95")],
  ["first token, p99 ms", ({ figures }) => quantile(figures.ttft_ms, "p99")],
  ["gap between texts, p50 ms", ({ figures }) => quantile(figures.gap_ms, "p50")],
  ["gap between texts, p99 ms", ({ figures }) => quantile(figures.gap_ms, "p99")],
  ["time of a token, p50 ms", ({ figures }) => quantile(figures.token_ms, "p50")],
  ["time of a token, p95 ms", ({ figures }) => quantile(figures.token_ms, "p95")],
  ["in the queue, p50 ms", ({ figures }) => quantile(figures.queue_ms, "p50")],
  ["in the queue, p95 ms", ({ figures }) => quantile(figures.queue_ms, "p95")],
  ["engines at work", ({ figures }) => percent(figures.utilisation.mean)],
  ["tokens written a step", ({ figures }) => few(figures.batch)],
  ["turns under way", ({ figures }) => few(figures.present)],
  ["turns a second", ({ figures }) => few(figures.turns_per_second)],
  ["tokens written a second", ({ figures }) => few(figures.tokens_per_second)],
  ["tokens read a second", ({ figures }) => few(figures.read_per_second)],
  ["states loaded a second", ({ figures }) => few(figures.states.loads_per_second)],
  ["states saved a second", ({ figures }) => few(figures.states.saves_per_second)],
];

/** A column for each fleet, the smallest first. */
export function table(rows: readonly Row[], { goals }: { goals: boolean }): string[] {
  const sorted = rows.toSorted((a, b) => a.workers - b.workers);
  const lines: [string, ...string[]][] = [
    ["workers", ...sorted.map(({ workers }) => `${workers}`)],
    ...LINES.map(([name, tell]): [string, ...string[]] => [name, ...sorted.map(tell)]),
  ];
  if (goals) lines.push(["misses", ...sorted.map(({ missed }) => missed.join(" ") || "-")]);
  const widths = lines[0].map((_, i) => Math.max(...lines.map((cells) => cells[i].length)));
  return lines.map((cells) =>
    cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
  );
}

/** A document's numbers, as precise as they are good for. */
export function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) ? value : roundToFourDigits(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, rounded(inner)]));
}

function quantile(quantiles: Quantiles | null, part: keyof Quantiles): string {
  return quantiles === null ? "-" : few(quantiles[part]);
}

function few(value: number): string {
  return `${Number(value.toPrecision(3))}`;
}

function percent(part: number): string {
  return `${Number((100 * part).toPrecision(3))} %`;
}

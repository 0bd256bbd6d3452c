/**
 * Which tile of `linear_rows` multiplies a matrix, by the number of tokens in a step: a fixed choice,
 * or what tuning has found on this adapter.
 *
 * Results don't depend on it: every kernel adds in the same order.
 */

import { type RowsTile, SEGMENT, sharedSumCount } from "../../../kernels/linear.ts";
import type { OpenDevice } from "../../gpu/mod.ts";

/** For steps of up to `tokens` tokens that no choice before takes; `null` is `matmul`. */
export interface LinearChoice {
  /** Of a step at most. */
  tokens: number;
  /** How `linear_rows` shares the work among threads. */
  tile: RowsTile | null;
}

/** Threads that a workgroup aims at on a GPU. */
const GPU_THREADS = 64;

/** A number of tokens that no step exceeds. */
const ANY = Number.MAX_SAFE_INTEGER;

/** What choices depend on, of a device. */
export interface TileDevice {
  software: boolean;
  /** Bytes of a workgroup's memory. */
  sharedBytes: number;
}

export function tileDevice(
  { device, software }: Pick<OpenDevice, "device" | "software">,
): TileDevice {
  return { software, sharedBytes: device.limits.maxComputeWorkgroupStorageSize };
}

/**
 * Choices in ascending order; only those that steps of up to `most` tokens need.
 *
 * @param tuned What tuning has found, maybe with other columns.
 */
export function linearChoices(
  { columns, most }: { columns: number; most: number },
  device: TileDevice,
  tuned?: readonly LinearChoice[],
): LinearChoice[] {
  const choices = tileCandidates(columns, device).map(({ tokens, tiles: [fixed] }) => {
    const found = tuned?.find((choice) => choice.tokens >= tokens);
    const tile = found && fits(found.tile, columns, device) ? found.tile : fixed;
    return { tokens, tile };
  });
  return choices.slice(0, choices.findIndex(({ tokens }) => tokens >= most) + 1);
}

/** What may be chosen for steps of up to `tokens` tokens; the first is it unless tuning finds better. */
export function tileCandidates(
  columns: number,
  device: TileDevice,
): { tokens: number; tiles: (RowsTile | null)[] }[] {
  const all = device.software ? SOFTWARE_CANDIDATES : gpuCandidates(columns);
  return all.map(({ tokens, tiles: [fixed, ...others] }) => ({
    tokens,
    tiles: [fixed, ...others.filter((tile) => fits(tile, columns, device))],
  }));
}

/** Whether a workgroup has room for the sums that threads of a row share. */
function fits(tile: RowsTile | null, columns: number, { sharedBytes }: TileDevice): boolean {
  return tile === null || sharedSumCount(tile, columns) * 4 <= sharedBytes;
}

/**
 * A software adapter runs threads one vector after the other on few cores: what counts is how much
 * is computed for every load, so threads own many rows and tokens.
 */
const SOFTWARE_CANDIDATES = [
  { tokens: 1, tiles: [alone(4, 1, 2), alone(2, 1, 2), alone(8, 1, 1), alone(4, 1, 4)] },
  { tokens: 4, tiles: [alone(4, 4, 1), alone(8, 4, 1)] },
  { tokens: 8, tiles: [alone(8, 8, 1), alone(4, 8, 1)] },
  { tokens: ANY, tiles: [alone(16, 8, 1), alone(8, 8, 1)] },
];

function alone(rowBlocks: number, tokens: number, threadBlocks: number): RowsTile {
  return { rowBlocks, tokens, lanes: 1, threadBlocks };
}

/** A GPU needs many threads: there they share rows, a segment of columns each. */
function gpuCandidates(columns: number): { tokens: number; tiles: (RowsTile | null)[] }[] {
  const segments = Math.ceil(columns / SEGMENT);
  const tile = (tokens: number, rowBlocks: number, most: number): RowsTile => {
    const lanes = Math.min(most, segments);
    const threadBlocks = Math.max(1, Math.floor(GPU_THREADS / 8 / lanes));
    return { rowBlocks, tokens, lanes, threadBlocks };
  };
  const few = (tokens: number) => [
    tile(tokens, 1, 16),
    tile(tokens, 1, 8),
    tile(tokens, 1, 4),
    tile(tokens, 2, 16),
    tile(tokens, 2, 8),
    tile(tokens, 4, 8),
  ];
  return [
    { tokens: 1, tiles: few(1) },
    { tokens: 4, tiles: few(4) },
    { tokens: 8, tiles: [null, ...few(8)] },
    { tokens: ANY, tiles: [null, tile(8, 2, 4), tile(8, 4, 4), tile(16, 2, 4)] },
  ];
}

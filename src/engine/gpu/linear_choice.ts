/**
 * Selects the tile of `linear_rows` for a matrix by the number of tokens in a step: a fixed choice,
 * or a tile tuned for this adapter.
 *
 * Results do not depend on the tile, because all kernels add in the same order.
 */

import { type RowsTile, SEGMENT, sharedSumCount } from "../../../kernels/linear.ts";
import type { OpenDevice } from "../../gpu/mod.ts";

/** A tile for steps of up to `tokens` tokens. In a list, the first choice that fits applies. */
export interface LinearChoice {
  /** Maximum tokens of a step. */
  tokens: number;
  /** Tile of `linear_rows`; `null` selects `matmul`. */
  tile: RowsTile | null;
}

/** Target number of threads per workgroup on a GPU. */
const GPU_THREADS = 64;

/** Any number of tokens. */
const ANY = Number.MAX_SAFE_INTEGER;

/** The properties of a device that choices depend on. */
export interface TileDevice {
  software: boolean;
  /** Bytes of workgroup memory. */
  sharedBytes: number;
}

export function tileDevice(
  { device, software }: Pick<OpenDevice, "device" | "software">,
): TileDevice {
  return { software, sharedBytes: device.limits.maxComputeWorkgroupStorageSize };
}

/**
 * Returns the choices for steps of up to `maxTokens` tokens, in ascending order.
 *
 * @param tuned Choices found by tuning, possibly for another number of columns.
 */
export function linearChoices(
  { columns, maxTokens }: { columns: number; maxTokens: number },
  device: TileDevice,
  tuned?: readonly LinearChoice[],
): LinearChoice[] {
  const choices = tileCandidates(columns, device).map(({ tokens, tiles: [fixed] }) => {
    const tunedChoice = tuned?.find((choice) => choice.tokens >= tokens);
    const tile = tunedChoice && fitsWorkgroup(tunedChoice.tile, columns, device)
      ? tunedChoice.tile
      : fixed;
    return { tokens, tile };
  });
  return choices.slice(0, choices.findIndex(({ tokens }) => tokens >= maxTokens) + 1);
}

/** Returns the candidate tiles by maximum tokens of a step. The first one is the default. */
export function tileCandidates(
  columns: number,
  device: TileDevice,
): { tokens: number; tiles: (RowsTile | null)[] }[] {
  const all = device.software ? SOFTWARE_CANDIDATES : gpuCandidates(columns);
  return all.map(({ tokens, tiles: [fixed, ...others] }) => ({
    tokens,
    tiles: [fixed, ...others.filter((tile) => fitsWorkgroup(tile, columns, device))],
  }));
}

/** Returns whether a tile's shared partial sums fit into workgroup memory. */
function fitsWorkgroup(
  tile: RowsTile | null,
  columns: number,
  { sharedBytes }: TileDevice,
): boolean {
  return tile === null || sharedSumCount(tile, columns) * 4 <= sharedBytes;
}

/**
 * A software adapter runs threads serially, vector by vector, on few cores. The number of
 * operations per load matters most, so each thread computes many rows and tokens.
 */
const SOFTWARE_CANDIDATES = [
  {
    tokens: 1,
    tiles: [singleLane(4, 1, 2), singleLane(2, 1, 2), singleLane(8, 1, 1), singleLane(4, 1, 4)],
  },
  { tokens: 4, tiles: [singleLane(4, 4, 1), singleLane(8, 4, 1)] },
  { tokens: 8, tiles: [singleLane(8, 8, 1), singleLane(4, 8, 1)] },
  { tokens: ANY, tiles: [singleLane(16, 8, 1), singleLane(8, 8, 1)] },
];

function singleLane(rowBlocks: number, tokens: number, threadBlocks: number): RowsTile {
  return { rowBlocks, tokens, lanes: 1, threadBlocks };
}

/** A GPU needs many threads, so threads share rows and each sums different column segments. */
function gpuCandidates(columns: number): { tokens: number; tiles: (RowsTile | null)[] }[] {
  const segments = Math.ceil(columns / SEGMENT);
  const tile = (tokens: number, rowBlocks: number, maxLanes: number): RowsTile => {
    const lanes = Math.min(maxLanes, segments);
    const threadBlocks = Math.max(1, Math.floor(GPU_THREADS / 8 / lanes));
    return { rowBlocks, tokens, lanes, threadBlocks };
  };
  const fewTokens = (tokens: number) => [
    tile(tokens, 1, 16),
    tile(tokens, 1, 8),
    tile(tokens, 1, 4),
    tile(tokens, 2, 16),
    tile(tokens, 2, 8),
    tile(tokens, 4, 8),
  ];
  return [
    { tokens: 1, tiles: fewTokens(1) },
    { tokens: 4, tiles: fewTokens(4) },
    { tokens: 8, tiles: [null, ...fewTokens(8)] },
    { tokens: ANY, tiles: [null, tile(8, 2, 4), tile(8, 4, 4), tile(16, 2, 4)] },
  ];
}

/**
 * Every buffer that an engine needs, made in one place before any weight is read: so that what does
 * not fit is refused at once, and so that the same code, over a device that only measures, tells
 * beforehand what a model will take.
 */

import { columnGroups, matrixBytes, ROW_BLOCK } from "../../kernels/layouts.ts";
import { roundUp } from "../../kernels/spec.ts";
import { type BufferDevice, DeviceBuffers, type MemoryBytes } from "../gpu/mod.ts";
import { type Dimensions, stateLength } from "../model/dimensions.ts";
import type { ActivationName } from "../model/graph.ts";
import type { Model } from "../model/load.ts";
import { matrixNames, shiftSites } from "../model/rwkv5.ts";
import { assignTypes, type Quant, type WeightType } from "../quant/mod.ts";

/** Bytes of logits that are held on the device at once. */
const LOGITS_BYTES = 32 * 1024 * 1024;

export interface BufferOptions {
  quant: Quant;
  slots: number;
  maxStepTokens: number;
  /** Bytes of one weight buffer at most; the device's limit unless told. */
  maxPartBytes?: number | undefined;
}

/** What a step tells the kernels. */
export interface StepInputs {
  /** `u32[tokens, 4]`: id, slot, 1 if first of its run, 1 if last. */
  rows: GPUBuffer;
  /** `u32[runs, 4]`: slot, first row, count, 0. */
  runs: GPUBuffer;
  /** `u32[outputs]`: rows whose logits are wanted. */
  chosen: GPUBuffer;
  /** `vec4u`: tokens, runs, outputs, 0. */
  counts: GPUBuffer;
}

/** Where states lie, see `GpuState`. */
export interface StateBuffers {
  /** Numbers between two sites. */
  siteStride: number;
  before: GPUBuffer;
  after: GPUBuffer;
  /** By layer. */
  wkv: readonly GPUBuffer[];
  staging: GPUBuffer;
}

/** Rows `firstRow` to `firstRow + rows - 1` of a matrix, in a buffer of their own. */
export interface MatrixPart {
  buffer: GPUBuffer;
  firstRow: number;
  rows: number;
}

export interface PlacedMatrix {
  type: WeightType;
  parts: readonly MatrixPart[];
}

export interface EngineBuffers {
  inputs: StepInputs;
  state: StateBuffers;
  activations: Readonly<Record<ActivationName, GPUBuffer>>;
  /** Numbers between two planes of `mixed`. */
  plane: number;
  /** Tokens whose logits fit at once. */
  maxOutputs: number;
  logitsStaging: GPUBuffer;
  vectors: ReadonlyMap<string, GPUBuffer>;
  matrices: ReadonlyMap<string, PlacedMatrix>;
}

/**
 * Makes all buffers of an engine; none is filled.
 *
 * @throws InferenceError `invalid_value` for a buffer above the device's limits, or a policy that
 * names no matrix.
 */
export function makeBuffers(
  buffers: DeviceBuffers,
  model: Model,
  { quant, slots, maxStepTokens, maxPartBytes = Infinity }: BufferOptions,
): EngineBuffers {
  const { dimensions } = model;
  const work = (label: string, bytes: number) => buffers.storage("work", label, bytes);
  const maxOutputs = Math.min(
    maxStepTokens,
    Math.max(1, Math.floor(LOGITS_BYTES / (dimensions.vocabulary * 4))),
  );
  // Bindings of one plane start at multiples of 256 bytes.
  const plane = roundUp(maxStepTokens * dimensions.width, 64);
  const sizes = activationLengths(dimensions, { tokens: maxStepTokens, plane, maxOutputs });
  return {
    inputs: {
      rows: work("rows", maxStepTokens * 16),
      runs: work("runs", slots * 16),
      chosen: work("chosen", maxStepTokens * 4),
      counts: buffers.uniform("counts", 16),
    },
    state: makeStates(buffers, { dimensions, slots }),
    activations: Object.fromEntries(
      Object.entries(sizes).map(([name, length]) => [name, work(name, length * 4)]),
    ) as Record<ActivationName, GPUBuffer>,
    plane,
    maxOutputs,
    logitsStaging: buffers.staging("work", "logits", sizes.logits * 4),
    vectors: new Map(
      [...model.vectors].map(([name, { byteLength }]) => {
        return [name, buffers.storage("weights", name, byteLength)];
      }),
    ),
    matrices: makeMatrices(buffers, model, { quant, maxPartBytes }),
  };
}

/** What `makeBuffers` would take of a device with such limits. */
export function measureBuffers(
  limits: BufferDevice["limits"],
  model: Model,
  options: BufferOptions,
): MemoryBytes {
  const buffers = new DeviceBuffers({
    limits,
    createBuffer: ({ size }) => ({ size }) as GPUBuffer,
    pushErrorScope: () => {},
    popErrorScope: () => Promise.resolve(null),
  });
  makeBuffers(buffers, model, options);
  return buffers.bytes;
}

/** Numbers between two tokens' rows of the channel mix's hidden layer. */
export function hiddenStride({ ffnWidth }: Dimensions): number {
  return columnGroups(ffnWidth) * 4;
}

function activationLengths(
  dimensions: Dimensions,
  { tokens, plane, maxOutputs }: { tokens: number; plane: number; maxOutputs: number },
): Record<ActivationName, number> {
  const { width, vocabulary } = dimensions;
  return {
    x: tokens * width,
    mixed: 4 * plane,
    r: tokens * width,
    k: tokens * width,
    v: tokens * width,
    g: tokens * width,
    y: tokens * width,
    hidden: tokens * hiddenStride(dimensions),
    receptance: tokens * width,
    selected: maxOutputs * width,
    logits: maxOutputs * vocabulary,
  };
}

function makeStates(
  buffers: DeviceBuffers,
  { dimensions, slots }: { dimensions: Dimensions; slots: number },
): StateBuffers {
  const { layers, width, headSize } = dimensions;
  // Bindings of one site start at multiples of 256 bytes.
  const siteStride = roundUp(slots * width, 64);
  const shiftBytes = shiftSites(dimensions) * siteStride * 4;
  return {
    siteStride,
    before: buffers.storage("states", "shifts before", shiftBytes),
    after: buffers.storage("states", "shifts after", shiftBytes),
    wkv: Array.from(
      { length: layers },
      (_, layer) => buffers.storage("states", `wkv ${layer}`, slots * width * headSize * 4),
    ),
    staging: buffers.staging("states", "state", stateLength(dimensions) * 4),
  };
}

/** A matrix larger than what the device binds at once is cut by rows into several buffers. */
function makeMatrices(
  buffers: DeviceBuffers,
  model: Model,
  { quant, maxPartBytes }: { quant: Quant; maxPartBytes: number },
): Map<string, PlacedMatrix> {
  const limit = Math.min(maxPartBytes, buffers.maxStorageBytes);
  const placed = new Map<string, PlacedMatrix>();
  for (const [name, type] of assignTypes(quant, matrixNames(model.dimensions))) {
    const { rows, columns } = model.matrix(name);
    const blockBytes = matrixBytes(ROW_BLOCK, columns, type);
    const partRows = Math.max(1, Math.floor(limit / blockBytes)) * ROW_BLOCK;
    const parts: MatrixPart[] = [];
    for (let firstRow = 0; firstRow < rows; firstRow += partRows) {
      const count = Math.min(partRows, rows - firstRow);
      const bytes = matrixBytes(count, columns, type);
      parts.push({ buffer: buffers.storage("weights", name, bytes), firstRow, rows: count });
    }
    placed.set(name, { type, parts });
  }
  return placed;
}

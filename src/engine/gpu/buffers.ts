/**
 * Every buffer that an engine needs, made in one place before any weight is read: so that what does
 * not fit is refused at once, and so that the same code, over a device that only measures, tells
 * beforehand what a model will take.
 */

import { columnGroups, matrixBytes, ROW_BLOCK } from "../../../kernels/layouts.ts";
import { roundUp } from "../../../kernels/spec.ts";
import {
  type BoundBuffer,
  type BufferDevice,
  DeviceBuffers,
  type MemoryBytes,
  StagingBuffer,
  StagingRing,
} from "../../gpu/mod.ts";
import type { TokenTable } from "../../core/sampling.ts";
import type { Dimensions } from "../../model/dimensions.ts";
import { stateLength } from "../../model/architectures/registry.ts";
import type { ActivationName } from "../../model/graph.ts";
import type { Model } from "../../model/load.ts";
import { matrixGroups, matrixNames, shiftSites } from "../../model/architectures/registry.ts";
import { assignTypes, type MatrixSource, type Quant, type WeightType } from "../../quant/mod.ts";
import { createSamplingBuffers, logitsStride, type SamplingBuffers } from "./sampling_buffers.ts";

/** Bytes that parts of buffers start at multiples of, to be bound. */
const BINDING_ALIGNMENT = 256;

/** States that are read at the same time. */
const STATE_STAGINGS = 4;

/** Bytes of logits that are held on the device at once. */
const LOGITS_BYTES = 32 * 1024 * 1024;

/** How a model is held on a device. */
export interface BufferOptions {
  /** How weights are held. */
  quant: Quant;
  /** Sequences whose states are held at once. */
  slots: number;
  /** Tokens that one step takes at most, over all its runs. */
  maxStepTokens: number;
  /** What the ids are; without it none is banned from sampling, and no stop string is found. */
  tokenTable?: TokenTable | undefined;
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
  outputRows: GPUBuffer;
  /** `vec4u`: tokens, runs, outputs, 0. */
  counts: GPUBuffer;
}

/** Where states lie, see `GpuState`. */
export interface StateBuffers {
  /** Numbers between two sites. */
  siteStride: number;
  shiftIn: GPUBuffer;
  shiftOut: GPUBuffer;
  /** By layer. */
  wkv: readonly GPUBuffer[];
  /** One state on its way from a slot to another one. */
  copyScratch: GPUBuffer;
  /** Several: states of turns that end together are read at the same time. */
  staging: StagingRing;
}

/** Rows `firstRow` to `firstRow + rows - 1` of a matrix, in a buffer. */
export interface MatrixPart {
  buffer: GPUBuffer;
  firstRow: number;
  rows: number;
  /** Blocks of other matrices that lie before this part's in the buffer. */
  firstBlock: number;
  /** Rows that the buffer holds in all, each matrix's padded to blocks: scales follow them. */
  bufferRows: number;
}

export interface PlacedMatrix {
  type: WeightType;
  parts: readonly MatrixPart[];
}

export interface EngineBuffers {
  inputs: StepInputs;
  state: StateBuffers;
  activations: Readonly<Record<ActivationName, Required<BoundBuffer>>>;
  /** Numbers between two planes of `mixed`. */
  planeStride: number;
  /** Tokens that a step takes at most, and those whose logits fit at once. */
  maxStepTokens: number;
  maxOutputs: number;
  logitsStaging: StagingBuffer;
  sampling: SamplingBuffers;
  vectors: ReadonlyMap<string, GPUBuffer>;
  matrices: ReadonlyMap<string, PlacedMatrix>;
}

/**
 * Makes all buffers of an engine; none is filled.
 *
 * @throws InferenceError `invalid_value` for a buffer above the device's limits, or a policy that
 * names no matrix.
 */
export function createBuffers(
  buffers: DeviceBuffers,
  model: Model,
  { quant, slots, maxStepTokens, tokenTable: tokens, maxPartBytes = Infinity }: BufferOptions,
): EngineBuffers {
  const { dimensions } = model;
  const work = (label: string, bytes: number) => buffers.storage("work", label, bytes);
  const fitting = Math.floor(LOGITS_BYTES / (logitsStride(dimensions) * 4));
  // Every slot may want to sample in one step.
  const maxOutputs = Math.min(maxStepTokens, Math.max(slots, fitting));
  const plane = maxStepTokens * dimensions.width;
  const sizes = activationLengths(dimensions, { tokens: maxStepTokens, plane, maxOutputs });
  return {
    inputs: {
      rows: work("rows", maxStepTokens * 16),
      runs: work("runs", slots * 16),
      outputRows: work("chosen", maxStepTokens * 4),
      counts: buffers.uniform("counts", 16),
    },
    state: makeStates(buffers, { dimensions, slots }),
    activations: makeActivations(sizes, work),
    planeStride: plane,
    maxStepTokens,
    maxOutputs,
    logitsStaging: new StagingBuffer(buffers.staging("work", "logits", sizes.logits * 4)),
    sampling: createSamplingBuffers(buffers, {
      slots,
      vocabulary: dimensions.vocabulary,
      tokenTable: tokens,
    }),
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
  createBuffers(buffers, model, options);
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
  const { width } = dimensions;
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
    logits: maxOutputs * logitsStride(dimensions),
  };
}

/** What one dispatch may write together lies in one buffer. */
const WRITTEN_TOGETHER: readonly (readonly ActivationName[])[] = [
  ["r", "k", "v", "g"],
  ["hidden", "receptance"],
];

function makeActivations(
  sizes: Record<ActivationName, number>,
  make: (label: string, bytes: number) => GPUBuffer,
): EngineBuffers["activations"] {
  const alone = (Object.keys(sizes) as ActivationName[])
    .filter((name) => !WRITTEN_TOGETHER.flat().includes(name));
  const views: [ActivationName, Required<BoundBuffer>][] = [];
  for (const names of [...WRITTEN_TOGETHER, ...alone.map((name) => [name])]) {
    const bytes = names.map((name) => Math.max(16, roundUp(sizes[name] * 4, 16)));
    const offsets = bytes.map((_, i) =>
      bytes.slice(0, i).reduce((sum, size) => sum + roundUp(size, BINDING_ALIGNMENT), 0)
    );
    const last = names.length - 1;
    const buffer = make(names.join(" "), offsets[last] + bytes[last]);
    names.forEach((name, i) => views.push([name, { buffer, offset: offsets[i], size: bytes[i] }]));
  }
  return Object.fromEntries(views) as EngineBuffers["activations"];
}

function makeStates(
  buffers: DeviceBuffers,
  { dimensions, slots }: { dimensions: Dimensions; slots: number },
): StateBuffers {
  const { layers, width, headSize } = dimensions;
  const siteStride = roundUp(slots * width, BINDING_ALIGNMENT / 4);
  const shiftBytes = shiftSites(dimensions) * siteStride * 4;
  return {
    siteStride,
    shiftIn: buffers.storage("states", "shifts before", shiftBytes),
    shiftOut: buffers.storage("states", "shifts after", shiftBytes),
    wkv: Array.from(
      { length: layers },
      (_, layer) => buffers.storage("states", `wkv ${layer}`, slots * width * headSize * 4),
    ),
    copyScratch: buffers.storage("states", "forking", stateLength(dimensions) * 4),
    staging: new StagingRing(
      Array.from(
        { length: Math.min(slots, STATE_STAGINGS) },
        () => buffers.staging("states", "state", stateLength(dimensions) * 4),
      ),
    ),
  };
}

/**
 * Matrices that are multiplied together and have one type lie in one buffer, as if they were one.
 * What is larger than the device binds is cut by rows into several buffers instead.
 */
function makeMatrices(
  buffers: DeviceBuffers,
  model: Model,
  { quant, maxPartBytes }: { quant: Quant; maxPartBytes: number },
): Map<string, PlacedMatrix> {
  const limit = Math.min(maxPartBytes, buffers.maxStorageBytes);
  const types = assignTypes(quant, matrixNames(model.dimensions));
  const placed = new Map<string, PlacedMatrix>();
  for (const names of matrixGroups(model.dimensions)) {
    const type = types.get(names[0])!;
    const { columns } = model.matrix(names[0]);
    const rows = names.map((name) => roundUp(model.matrix(name).rows, ROW_BLOCK));
    const bufferRows = rows.reduce((sum, count) => sum + count, 0);
    const bytes = matrixBytes(bufferRows, columns, type);
    if (names.length > 1 && bytes <= limit && names.every((name) => types.get(name) === type)) {
      const buffer = buffers.storage("weights", names.join(" "), bytes);
      let row = 0;
      for (const [i, name] of names.entries()) {
        const firstBlock = row / ROW_BLOCK;
        const { rows: count } = model.matrix(name);
        placed.set(name, {
          type,
          parts: [{ buffer, firstRow: 0, rows: count, firstBlock, bufferRows }],
        });
        row += rows[i];
      }
    } else {
      for (const name of names) {
        placed.set(name, cutMatrix(buffers, model.matrix(name), { type: types.get(name)!, limit }));
      }
    }
  }
  return placed;
}

function cutMatrix(
  buffers: DeviceBuffers,
  { name, rows, columns }: MatrixSource,
  { type, limit }: { type: WeightType; limit: number },
): PlacedMatrix {
  const partRows = Math.max(1, Math.floor(limit / matrixBytes(ROW_BLOCK, columns, type))) *
    ROW_BLOCK;
  const parts: MatrixPart[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += partRows) {
    const count = Math.min(partRows, rows - firstRow);
    const buffer = buffers.storage("weights", name, matrixBytes(count, columns, type));
    parts.push({ buffer, firstRow, rows: count, firstBlock: 0, bufferRows: count });
  }
  return { type, parts };
}

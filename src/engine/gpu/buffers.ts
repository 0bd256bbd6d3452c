/**
 * Creates every buffer of an engine before any weight is read, so that a model that does not fit is
 * rejected early. With a device that only measures, the same code computes the memory that a model
 * needs.
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
import { activationLengths, type ActivationName } from "../../model/graph.ts";
import type { Model } from "../../model/load.ts";
import {
  layerGraph,
  matrixGroups,
  matrixNames,
  shiftSites,
  stateLength,
} from "../../model/architectures/registry.ts";
import { assignTypes, type MatrixSource, type Quant, type WeightType } from "../../quant/mod.ts";
import { createSamplingBuffers, logitsStride, type SamplingBuffers } from "./sampling_buffers.ts";

/** Required alignment of bound buffer ranges, in bytes. */
const BINDING_ALIGNMENT = 256;

/** Maximum concurrent state reads. */
const STATE_STAGINGS = 4;

/** Bytes of the logits buffer; a step with more logits runs the head several times. */
const LOGITS_BYTES = 32 * 1024 * 1024;

/** Options that determine an engine's buffers. */
export interface BufferOptions {
  /** Format of the weights in memory. */
  quant: Quant;
  /** Number of slots: sequences processed concurrently. */
  slots: number;
  /** Maximum tokens per step, over all runs. */
  maxStepTokens: number;
  /** Bytes of the token ids; without it, no id is banned and no stop string is found. */
  tokenTable?: TokenTable | undefined;
  /** Maximum bytes of a weight buffer; defaults to the device's limit. */
  maxPartBytes?: number | undefined;
}

/** Input buffers of a step. */
export interface StepInputs {
  /** `u32[tokens, 4]`: id, slot, 1 if first of its run, 1 if last. */
  rows: GPUBuffer;
  /** `u32[runs, 4]`: slot, first row, count, 0. */
  runs: GPUBuffer;
  /** `u32[outputs]`: rows that need logits. */
  outputRows: GPUBuffer;
  /** `vec4u`: tokens, runs, outputs, 0. */
  counts: GPUBuffer;
}

/** Buffers of the states, see `GpuState`. */
export interface StateBuffers {
  /** Elements between two sites. */
  siteStride: number;
  shiftIn: GPUBuffer;
  shiftOut: GPUBuffer;
  /** WKV states by layer. */
  wkv: readonly GPUBuffer[];
  /** Scratch space for copying a state between slots. */
  copyScratch: GPUBuffer;
  /** Several buffers, so that states of turns that end together are read concurrently. */
  staging: StagingRing;
}

/** Rows `firstRow` to `firstRow + rows - 1` of a matrix, within a buffer. */
export interface MatrixPart {
  buffer: GPUBuffer;
  firstRow: number;
  rows: number;
  /** Blocks of other matrices that precede this part in the buffer. */
  firstBlock: number;
  /** Total rows of the buffer, each matrix padded to blocks; the scales follow them. */
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
  /** Elements between two planes of `mixed`. */
  planeStride: number;
  /** Maximum tokens per step, and maximum rows of the logits buffer. */
  maxStepTokens: number;
  maxOutputs: number;
  logitsStaging: StagingBuffer;
  sampling: SamplingBuffers;
  vectors: ReadonlyMap<string, GPUBuffer>;
  matrices: ReadonlyMap<string, PlacedMatrix>;
}

/**
 * Creates all buffers of an engine, without contents.
 *
 * @throws InferenceError `invalid_value` if a buffer exceeds the device's limits, or if `quant`
 * names an unknown matrix.
 */
export function createBuffers(
  buffers: DeviceBuffers,
  model: Model,
  { quant, slots, maxStepTokens, tokenTable, maxPartBytes = Infinity }: BufferOptions,
): EngineBuffers {
  const { dimensions } = model;
  const work = (label: string, bytes: number) => buffers.storage("work", label, bytes);
  const fittingRows = Math.floor(LOGITS_BYTES / (logitsStride(dimensions) * 4));
  // All slots may sample in the same step.
  const maxOutputs = Math.min(maxStepTokens, Math.max(slots, fittingRows));
  const planeStride = maxStepTokens * dimensions.width;
  const sizes = activationSizes(dimensions, { tokens: maxStepTokens, maxOutputs });
  return {
    inputs: {
      rows: work("rows", maxStepTokens * 16),
      runs: work("runs", slots * 16),
      outputRows: work("output rows", maxStepTokens * 4),
      counts: buffers.uniform("counts", 16),
    },
    state: makeStates(buffers, { dimensions, slots }),
    activations: makeActivations(sizes, work),
    planeStride,
    maxStepTokens,
    maxOutputs,
    logitsStaging: new StagingBuffer(buffers.staging("work", "logits", sizes.logits * 4)),
    sampling: createSamplingBuffers(buffers, {
      slots,
      vocabulary: dimensions.vocabulary,
      tokenTable,
    }),
    vectors: new Map(
      [...model.vectors].map(([name, { byteLength }]) => {
        return [name, buffers.storage("weights", name, byteLength)];
      }),
    ),
    matrices: makeMatrices(buffers, model, { quant, maxPartBytes }),
  };
}

/** Returns the bytes that `createBuffers` would allocate on a device with these limits. */
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

/** Returns the elements between two tokens' rows of the channel mix's hidden layer. */
export function hiddenStride({ ffnWidth }: Dimensions): number {
  return columnGroups(ffnWidth) * 4;
}

/** Returns the elements of each activation in a step. */
function activationSizes(
  dimensions: Dimensions,
  { tokens, maxOutputs }: { tokens: number; maxOutputs: number },
): Record<ActivationName, number> {
  const lengths = activationLengths(layerGraph(dimensions), dimensions);
  const sizes = Object.entries(lengths).map(([name, length]) => [name, tokens * length]);
  return {
    ...Object.fromEntries(sizes),
    hidden: tokens * hiddenStride(dimensions),
    selected: maxOutputs * lengths.selected,
    logits: maxOutputs * logitsStride(dimensions),
  };
}

/** Activations that one dispatch may write; each group shares a buffer. */
const SHARED_BUFFERS: readonly (readonly ActivationName[])[] = [
  ["r", "k", "v", "g"],
  ["hidden", "receptance"],
];

function makeActivations(
  sizes: Record<ActivationName, number>,
  make: (label: string, bytes: number) => GPUBuffer,
): EngineBuffers["activations"] {
  const separate = (Object.keys(sizes) as ActivationName[])
    .filter((name) => !SHARED_BUFFERS.flat().includes(name));
  const views: [ActivationName, Required<BoundBuffer>][] = [];
  for (const names of [...SHARED_BUFFERS, ...separate.map((name) => [name])]) {
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
    shiftIn: buffers.storage("states", "shift in", shiftBytes),
    shiftOut: buffers.storage("states", "shift out", shiftBytes),
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
 * Places matrices that are multiplied together and have the same type in one buffer. A matrix above
 * the device's binding limit is split by rows into several buffers.
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
        placed.set(
          name,
          splitMatrix(buffers, model.matrix(name), { type: types.get(name)!, limit }),
        );
      }
    }
  }
  return placed;
}

function splitMatrix(
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

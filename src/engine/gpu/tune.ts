/**
 * Finds the fastest tiles of `linear_rows` on a device for the matrices of a model's layer, and the
 * best number of prompt tokens per step. The result affects only speed.
 */

import {
  balanceTile,
  type LinearPart,
  linearRows,
  matmul,
  type RowsTile,
} from "../../../kernels/linear.ts";
import { matrixBytes, ROW_BLOCK, type WeightType } from "../../../kernels/layouts.ts";
import {
  type BoundBuffer,
  DeviceBuffers,
  DeviceQueue,
  type Dispatch,
  DispatchTimer,
  encodeDispatches,
  type OpenDevice,
  Pipelines,
  sizeDispatches,
  upload,
} from "../../gpu/mod.ts";
import type { Model } from "../../model/load.ts";
import { matrixGroups } from "../../model/architectures/registry.ts";
import { type LinearChoice, tileCandidates, tileDevice } from "./linear_choice.ts";

/** The result of tuning, as plain data for the tuning cache. */
export interface Tuning {
  /** In ascending order of tokens; see `LinearChoice`. */
  choices: LinearChoice[];
  /** Maximum useful tokens per step; more tokens do not increase throughput. */
  stepTokens: number;
}

interface MatrixSize {
  rows: number;
  columns: number;
}

export interface TuningSizes {
  /** Distinct sizes of a layer's matrices; matrices that are multiplied together count as one. */
  matrices: readonly MatrixSize[];
  /** Type of the weights. */
  type: WeightType;
  /** Maximum tokens per step. */
  maxStepTokens: number;
}

/** Milliseconds after which no more candidates are measured. */
const BUDGET_MS = 3000;

/** A tile replaces the fixed choice only below this fraction of its time; the rest is noise. */
const GAIN = 0.92;

/** A step is long enough if its time per token is within this factor of the best. */
const TOLERANCE = 1.02;

/** Runs per candidate; the fastest counts. */
const RUNS = 7;

/** Tokens with which tiles for any number of tokens are measured. */
const MANY_TOKENS = 64;

/** Dispatches per layer, each with a launch overhead. */
const LAYER_DISPATCHES = 7;

/** Returns the sizes to tune for a model with weights of the given type. */
export function tuningSizes(
  { dimensions, matrix }: Pick<Model, "dimensions" | "matrix">,
  { type, maxStepTokens }: Pick<TuningSizes, "type" | "maxStepTokens">,
): TuningSizes {
  // The first group is the embedding, the last one the head.
  const matrices = matrixGroups(dimensions).slice(1, -1).map((names): MatrixSize => ({
    rows: names.reduce((sum, name) => sum + matrix(name).rows, 0),
    columns: matrix(names[0]).columns,
  }));
  const bySize = new Map(matrices.map((size) => [`${size.rows} x ${size.columns}`, size]));
  return { matrices: [...bySize.values()], type, maxStepTokens };
}

export interface TuneOptions {
  /** Awaited before each measurement, to wait for an idle device; may throw. */
  pause?: () => Promise<void>;
}

/**
 * Measures the candidates for about 3 s in total, not counting pauses.
 *
 * @returns `null` if the device does not support timestamp queries.
 */
export async function tune(
  open: OpenDevice,
  sizes: TuningSizes,
  { pause = () => Promise.resolve() }: TuneOptions = {},
): Promise<Tuning | null> {
  if (!open.device.features.has("timestamp-query")) return null;
  const columns = Math.max(...sizes.matrices.map(({ columns }) => columns));
  const { maxStepTokens } = sizes;
  const bench = new LinearBench(open, sizes);
  let measuredMs = 0;
  const measureTime = async (measure: () => Promise<number>): Promise<number> => {
    await pause();
    const start = performance.now();
    try {
      return await measure();
    } finally {
      measuredMs += performance.now() - start;
    }
  };
  try {
    const choices: LinearChoice[] = [];
    for (const { tokens, tiles } of tileCandidates(columns, tileDevice(open))) {
      const count = Math.min(tokens, MANY_TOKENS, maxStepTokens);
      const [fixed, ...others] = tiles;
      let best = { tile: fixed, ms: GAIN * await measureTime(() => bench.layerMs(fixed, count)) };
      for (const tile of others) {
        if (measuredMs > BUDGET_MS) break;
        const ms = await measureTime(() => bench.layerMs(tile, count));
        if (ms < best.ms) best = { tile, ms };
      }
      choices.push({ tokens, tile: best.tile });
    }
    const { tile } = choices[choices.length - 1];
    const layerOverhead = LAYER_DISPATCHES * await measureTime(() => bench.launchOverheadMs(tile));
    const stepTokens = await shortestStep(maxStepTokens, async (tokens) => {
      return layerOverhead + await measureTime(() => bench.layerMs(tile, tokens));
    });
    return { choices, stepTokens };
  } finally {
    bench.close();
  }
}

/** Returns the smallest step length, doubled from 32 on, with nearly the best time per token. */
async function shortestStep(
  maxStepTokens: number,
  stepMs: (tokens: number) => Promise<number>,
): Promise<number> {
  const times: { tokens: number; perToken: number }[] = [];
  for (let tokens = Math.min(32, maxStepTokens);; tokens = Math.min(2 * tokens, maxStepTokens)) {
    times.push({ tokens, perToken: await stepMs(tokens) / tokens });
    if (tokens === maxStepTokens) break;
  }
  const best = Math.min(...times.map(({ perToken }) => perToken));
  return times.find(({ perToken }) => perToken <= TOLERANCE * best)!.tokens;
}

/** Multiplies a layer's matrices with different tiles to measure them. */
class LinearBench {
  readonly #device: GPUDevice;
  readonly #queue: DeviceQueue;
  readonly #pipelines: Pipelines;
  readonly #deviceBuffers: DeviceBuffers;
  readonly #sizes: TuningSizes;
  /** Each large enough for all of the matrices. */
  readonly #buffers: Record<"weights" | "x" | "y" | "counts", Required<BoundBuffer>>;

  constructor({ device }: OpenDevice, sizes: TuningSizes) {
    const { type, maxStepTokens } = sizes;
    const deviceBuffers = new DeviceBuffers(device);
    // Engines split matrices above the device's binding limit, so only one part is measured.
    const mostRows = ({ columns }: MatrixSize) =>
      Math.floor(deviceBuffers.maxStorageBytes / matrixBytes(ROW_BLOCK, columns, type)) * ROW_BLOCK;
    const matrices = sizes.matrices.map((matrix) => (
      { ...matrix, rows: Math.min(matrix.rows, mostRows(matrix)) }
    ));
    const bytes = (size: (matrix: MatrixSize) => number) => Math.max(...matrices.map(size));
    const wholeBuffer = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });
    const storage = (label: string, size: number) =>
      wholeBuffer(deviceBuffers.storage("work", label, size));
    this.#device = device;
    this.#queue = new DeviceQueue(device);
    this.#pipelines = new Pipelines(device);
    this.#deviceBuffers = deviceBuffers;
    this.#sizes = { ...sizes, matrices };
    this.#buffers = {
      weights: storage(
        "tuned",
        bytes(({ rows, columns }) => matrixBytes(rows, columns, type)),
      ),
      x: storage("x", bytes(({ columns }) => maxStepTokens * columns * 4)),
      y: storage("y", bytes(({ rows }) => maxStepTokens * rows * 4)),
      counts: wholeBuffer(deviceBuffers.uniform("counts", 16)),
    };
    this.#fill();
  }

  /** Returns the milliseconds to multiply all matrices with `tokens` vectors. */
  async layerMs(tile: RowsTile | null, tokens: number): Promise<number> {
    let sum = 0;
    for (const matrix of this.#sizes.matrices) {
      const dispatch = await this.#prepare(tile, matrix);
      await this.#setTokens(tokens);
      const repeated = Array.from({ length: RUNS + 1 }, () => dispatch);
      const clock = new DispatchTimer(
        this.#device,
        this.#queue,
        sizeDispatches(repeated, of(tokens)),
      );
      try {
        const [, ...times] = await clock.run();
        sum += Math.min(...times);
      } finally {
        clock.close();
      }
    }
    return sum;
  }

  /** Returns the launch overhead of a dispatch in milliseconds, from many small dispatches. */
  async launchOverheadMs(tile: RowsTile | null): Promise<number> {
    const [smallest] = [...this.#sizes.matrices]
      .sort((a, b) => a.rows * a.columns - b.rows * b.columns);
    const dispatch = await this.#prepare(tile, { ...smallest, rows: 8 });
    await this.#setTokens(1);
    const time = async (count: number) => {
      const dispatches = sizeDispatches(Array.from({ length: count }, () => dispatch), of(1));
      const start = performance.now();
      const encoder = this.#device.createCommandEncoder({ label: "launch overhead" });
      const pass = encoder.beginComputePass({ label: "launch overhead" });
      encodeDispatches(pass, dispatches);
      pass.end();
      this.#device.queue.submit([encoder.finish()]);
      await this.#device.queue.onSubmittedWorkDone();
      return performance.now() - start;
    };
    await time(1);
    return Math.max(0, (await time(200) - await time(1)) / 199);
  }

  close(): void {
    this.#deviceBuffers.destroy();
  }

  #prepare(tile: RowsTile | null, { rows, columns }: MatrixSize): Promise<Dispatch> {
    const part: LinearPart = {
      rows,
      firstBlock: 0,
      xOffset: 0,
      yOffset: 0,
      rowOffset: 0,
      outStride: rows,
      activation: "none",
    };
    const parts = [part];
    const sizes = {
      parts,
      columns,
      type: this.#sizes.type,
      bufferRows: rows,
      per: "tokens" as const,
      write: "store" as const,
    };
    return tile
      ? this.#pipelines.prepare(
        linearRows,
        { ...sizes, tile: balanceTile(parts, tile) },
        this.#buffers,
      )
      : this.#pipelines.prepare(matmul, sizes, this.#buffers);
  }

  /** Fills buffers with a pattern that is not subnormal in any type; zeros may compute faster. */
  #fill(): void {
    const pattern = new Uint32Array(64 * 1024).fill(0x3c2a3d51);
    for (const { buffer } of [this.#buffers.weights, this.#buffers.x]) {
      for (let at = 0; at < buffer.size; at += pattern.byteLength) {
        const words = pattern.subarray(0, Math.min(pattern.byteLength, buffer.size - at) / 4);
        upload(this.#device, buffer, words, at);
      }
    }
  }

  async #setTokens(tokens: number): Promise<void> {
    const words = new Uint32Array([tokens, tokens, tokens, 0]);
    const { counts: { buffer } } = this.#buffers;
    await this.#queue.run({ write: () => upload(this.#device, buffer, words) });
  }
}

function of(tokens: number) {
  return { tokens, runs: tokens, outputs: tokens, gathered: 0 };
}

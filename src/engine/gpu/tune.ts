/**
 * Finds the fastest tiles of `linear_rows` on a device, for the matrices of a model's layer, and how
 * many tokens of a prompt a step should take. Only speed depends on what is found.
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

/** What was found on a device; plain data, to be kept. */
export interface Tuning {
  /** In ascending order of tokens; see `LinearChoice`. */
  choices: LinearChoice[];
  /** Tokens that a step should take at most: more gain nothing. */
  stepTokens: number;
}

interface MatrixSize {
  rows: number;
  columns: number;
}

export interface TuningSizes {
  /** Matrices of a layer, each size once; those that are multiplied together count as one. */
  matrices: readonly MatrixSize[];
  /** Of the weights. */
  type: WeightType;
  /** Tokens that a step may take at most. */
  maxStepTokens: number;
}

/** Milliseconds after which no more candidates are tried. */
const BUDGET_MS = 3000;

/** A tile is taken if it needs at most this part of the fixed choice's time: less is noise. */
const GAIN = 0.92;

/** A step need not take more tokens if it is nearly as fast by the token. */
const ENOUGH = 1.02;

/** Times that a candidate is run; the fastest counts. */
const RUNS = 7;

/** Tokens for which tiles of any number of tokens are timed. */
const MANY = 64;

/** Dispatches of a layer, which each take a while to begin. */
const LAYER_DISPATCHES = 7;

/** What there is to tune for a model whose weights are held as `type`. */
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
  /** Awaited before each measurement, so that tuning can wait for an idle device; may throw. */
  pause?: () => Promise<void>;
}

/**
 * Times the candidates for some 3 s in all, pauses not counted.
 *
 * @returns `null` where the device has no clock to time with.
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
  let spent = 0;
  const timed = async (measure: () => Promise<number>): Promise<number> => {
    await pause();
    const start = performance.now();
    try {
      return await measure();
    } finally {
      spent += performance.now() - start;
    }
  };
  try {
    const choices: LinearChoice[] = [];
    for (const { tokens, tiles } of tileCandidates(columns, tileDevice(open))) {
      const count = Math.min(tokens, MANY, maxStepTokens);
      const [fixed, ...others] = tiles;
      let best = { tile: fixed, ms: GAIN * await timed(() => bench.layerMs(fixed, count)) };
      for (const tile of others) {
        if (spent > BUDGET_MS) break;
        const ms = await timed(() => bench.layerMs(tile, count));
        if (ms < best.ms) best = { tile, ms };
      }
      choices.push({ tokens, tile: best.tile });
    }
    const { tile } = choices[choices.length - 1];
    const beginning = LAYER_DISPATCHES * await timed(() => bench.beginningMs(tile));
    const stepTokens = await enoughTokens(maxStepTokens, async (tokens) => {
      return beginning + await timed(() => bench.layerMs(tile, tokens));
    });
    return { choices, stepTokens };
  } finally {
    bench.close();
  }
}

/** The fewest tokens, doubled from 32 on, that a step is as fast with by the token as with any. */
async function enoughTokens(
  maxStepTokens: number,
  stepMs: (tokens: number) => Promise<number>,
): Promise<number> {
  const times: { tokens: number; perToken: number }[] = [];
  for (let tokens = Math.min(32, maxStepTokens);; tokens = Math.min(2 * tokens, maxStepTokens)) {
    times.push({ tokens, perToken: await stepMs(tokens) / tokens });
    if (tokens === maxStepTokens) break;
  }
  const best = Math.min(...times.map(({ perToken }) => perToken));
  return times.find(({ perToken }) => perToken <= ENOUGH * best)!.tokens;
}

/** Matrices of a layer on a device, to be multiplied with different tiles. */
class LinearBench {
  readonly #device: GPUDevice;
  readonly #queue: DeviceQueue;
  readonly #pipelines: Pipelines;
  readonly #made: DeviceBuffers;
  readonly #sizes: TuningSizes;
  /** Each large enough for any of the matrices. */
  readonly #buffers: Record<"weights" | "x" | "y" | "counts", Required<BoundBuffer>>;

  constructor({ device }: OpenDevice, sizes: TuningSizes) {
    const { type, maxStepTokens } = sizes;
    const made = new DeviceBuffers(device);
    // What is larger than the device binds is cut by engines as well.
    const mostRows = ({ columns }: MatrixSize) =>
      Math.floor(made.maxStorageBytes / matrixBytes(ROW_BLOCK, columns, type)) * ROW_BLOCK;
    const matrices = sizes.matrices.map((matrix) => (
      { ...matrix, rows: Math.min(matrix.rows, mostRows(matrix)) }
    ));
    const bytes = (size: (matrix: MatrixSize) => number) => Math.max(...matrices.map(size));
    const whole = (buffer: GPUBuffer) => ({ buffer, offset: 0, size: buffer.size });
    const storage = (label: string, size: number) => whole(made.storage("work", label, size));
    this.#device = device;
    this.#queue = new DeviceQueue(device);
    this.#pipelines = new Pipelines(device);
    this.#made = made;
    this.#sizes = { ...sizes, matrices };
    this.#buffers = {
      weights: storage(
        "tuned",
        bytes(({ rows, columns }) => matrixBytes(rows, columns, type)),
      ),
      x: storage("x", bytes(({ columns }) => maxStepTokens * columns * 4)),
      y: storage("y", bytes(({ rows }) => maxStepTokens * rows * 4)),
      counts: whole(made.uniform("counts", 16)),
    };
    this.#fill();
  }

  /** Milliseconds to multiply each matrix with `tokens` vectors. */
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

  /** Milliseconds that a dispatch takes beside its work: small ones in a row, by the wall's clock. */
  async beginningMs(tile: RowsTile | null): Promise<number> {
    const [smallest] = [...this.#sizes.matrices]
      .sort((a, b) => a.rows * a.columns - b.rows * b.columns);
    const dispatch = await this.#prepare(tile, { ...smallest, rows: 8 });
    await this.#setTokens(1);
    const time = async (count: number) => {
      const dispatches = sizeDispatches(Array.from({ length: count }, () => dispatch), of(1));
      const start = performance.now();
      const encoder = this.#device.createCommandEncoder({ label: "beginnings" });
      const pass = encoder.beginComputePass({ label: "beginnings" });
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
    this.#made.destroy();
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

  /** Zeros may be quicker than numbers. Any pattern will do that is no denormal in any type. */
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

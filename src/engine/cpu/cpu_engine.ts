/**
 * The reference engine in plain TypeScript. It runs the same layer graph token by token, with sums
 * in float64. It is the fallback without a GPU adapter, and the tests' reference for the GPU
 * engine.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Dimensions } from "../../model/dimensions.ts";
import { activationLengths, type ActivationName, type Linear, type Op } from "../../model/graph.ts";
import { weightTypes } from "../../model/weight_types.ts";
import type { Model } from "../../model/load.ts";
import { layerGraph, matrixNames, stateLength } from "../../model/architectures/registry.ts";
import { assignTypes, type Quant } from "../../quant/mod.ts";
import { checkRuns, checkSlot, checkState } from "../check_runs.ts";
import { type CpuMatrix, cpuMatrixBytes, readMatrix } from "./matrix.ts";
import { groupNorm, layerNorm, shiftMix, wkv } from "./operations.ts";
import type {
  DeviceSelection,
  Engine,
  EngineInfo,
  LoadTimes,
  MemoryBytes,
  OnProgress,
  Run,
} from "../engine.ts";
import { assertFitsInMemory } from "../memory_check.ts";

/** Options of `CpuEngine.create`. */
export interface CpuEngineOptions {
  /** Format of the weights in memory. */
  quant: Quant;
  /** Number of slots: sequences processed concurrently. */
  slots: number;
  /** Maximum tokens per step, over all runs. */
  maxStepTokens: number;
  /** Free memory of this machine in bytes, if known. */
  availableBytes?: number | undefined;
  /** Times of earlier loading phases, included in `info.loading`. */
  earlierLoadTimes?: LoadTimes | undefined;
  /** Reported as `info.selection`. */
  selection?: DeviceSelection | undefined;
  /** Called while weights are read. */
  onProgress?: OnProgress | undefined;
}

type Activations = Record<ActivationName, Float32Array>;

/** Returns the bytes that an engine would allocate. */
export function measureCpuMemory(
  model: Model,
  { quant, slots }: Pick<CpuEngineOptions, "quant" | "slots">,
): MemoryBytes {
  const { dimensions } = model;
  let weights = 0;
  for (const [name, type] of assignTypes(quant, matrixNames(dimensions))) {
    weights += cpuMatrixBytes(model.matrix(name), type);
  }
  for (const { byteLength } of model.vectors.values()) weights += byteLength;
  const work = Object.values(activationLengths(layerGraph(dimensions), dimensions)).reduce(
    (sum, n) => sum + n * 4,
    0,
  );
  return { weights, states: slots * stateLength(dimensions) * 4, work };
}

/** The reference engine: plain TypeScript, token by token, on the caller's thread. */
export class CpuEngine implements Engine {
  /** Properties of the engine; `device` is "cpu". */
  readonly info: EngineInfo;
  readonly #graph: readonly Op[];
  readonly #vectors: ReadonlyMap<string, Float32Array>;
  readonly #matrices: ReadonlyMap<string, CpuMatrix>;
  readonly #activations: Activations;
  readonly #states: Float32Array[];
  #closed = false;

  private constructor(info: EngineInfo, model: Model, matrices: ReadonlyMap<string, CpuMatrix>) {
    this.info = info;
    this.#graph = layerGraph(info.dimensions);
    this.#vectors = model.vectors;
    this.#matrices = matrices;
    const numbers = (length: number) => new Float32Array(length);
    this.#activations = Object.fromEntries(
      Object.entries(activationLengths(this.#graph, info.dimensions))
        .map(([name, n]) => [name, numbers(n)]),
    ) as Activations;
    this.#states = Array.from(
      { length: info.slots },
      () => numbers(stateLength(info.dimensions)),
    );
  }

  /**
   * Reads a model's weights into memory in the format `quant`; float16 is stored as float32.
   *
   * @throws InferenceError `insufficient_memory` before any weight is read; `invalid_value` if the
   * model cannot be stored as `quant`.
   */
  static async create(
    model: Model,
    {
      quant,
      slots,
      maxStepTokens,
      availableBytes,
      earlierLoadTimes,
      selection,
      onProgress = () => {},
    }: CpuEngineOptions,
  ): Promise<CpuEngine> {
    const { dimensions } = model;
    const types = weightTypes(model, quant);
    const measureMemory = (quant: Quant) => measureCpuMemory(model, { quant, slots });
    if (availableBytes !== undefined) {
      assertFitsInMemory({
        model,
        quant,
        deviceName: "this machine",
        availableBytes,
        measureMemory,
      });
    }
    const memory = measureMemory(quant);
    const start = performance.now();
    const matrices = new Map<string, CpuMatrix>();
    let done = 0;
    for (const [name, type] of types) {
      const onRead = (bytes: number) => onProgress(done += bytes, memory.weights);
      matrices.set(name, await readMatrix(model.matrix(name), type, onRead));
    }
    const info: EngineInfo = {
      device: "cpu",
      adapter: "plain TypeScript",
      software: true,
      quant,
      dimensions,
      fingerprint: model.fingerprint,
      slots,
      maxStepTokens,
      memory,
      loading: { ...earlierLoadTimes, weights: performance.now() - start },
      selection,
    };
    return new CpuEngine(info, model, matrices);
  }

  // deno-lint-ignore require-await -- `async` turns exceptions into rejections
  async step(runs: readonly Run[]): Promise<Float32Array[]> {
    this.#assertOpen();
    checkRuns(runs, this.info);
    return runs.map(({ slot, tokens, logits }) => {
      const { vocabulary } = this.info.dimensions;
      const count = logits === "all" ? tokens.length : logits === "last" ? 1 : 0;
      const result = new Float32Array(count * vocabulary);
      tokens.forEach((id, i) => {
        const needsLogits = logits === "all" || (logits === "last" && i === tokens.length - 1);
        this.#processToken(id, this.#states[slot], needsLogits);
        if (needsLogits) {
          result.set(this.#activations.logits, logits === "all" ? i * vocabulary : 0);
        }
      });
      return result;
    });
  }

  // deno-lint-ignore require-await -- as above
  async readState(slot: number): Promise<Float32Array> {
    this.#assertOpen();
    checkSlot(slot, this.info);
    return this.#states[slot].slice();
  }

  // deno-lint-ignore require-await -- as above
  async writeState(slot: number, state: Float32Array | null): Promise<void> {
    this.#assertOpen();
    checkSlot(slot, this.info);
    if (state) {
      checkState(state, this.info);
      this.#states[slot].set(state);
    } else {
      this.#states[slot].fill(0);
    }
  }

  // deno-lint-ignore require-await -- as above
  async copyState(from: number, to: number): Promise<void> {
    this.#assertOpen();
    checkSlot(from, this.info);
    checkSlot(to, this.info);
    this.#states[to].set(this.#states[from]);
  }

  // deno-lint-ignore require-await -- as above
  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertOpen(): void {
    if (this.#closed) throw new InferenceError("device_lost", "The engine is closed");
  }

  /** Runs the graph for one token; computes logits only if requested. */
  #processToken(id: number, state: Float32Array, logits: boolean): void {
    const { dimensions } = this.info;
    const { width, headSize } = dimensions;
    const a = this.#activations;
    const vector = (name: string) => this.#vectors.get(name)!;
    for (const op of this.#graph) {
      switch (op.op) {
        case "embed": {
          layerNorm(this.#matrices.get(op.table)!.row(id), vector(op.norm), a.x);
          break;
        }
        case "normShift":
          layerNorm(a.x, vector(op.norm), a.selected);
          shiftMix(a.selected, vector(op.mix), {
            shift: shiftOf(state, op.site, dimensions),
            mixes: op.mixes,
            out: a.mixed,
          });
          break;
        case "linears":
          for (const linear of op.linears) {
            if (linear.to !== "logits" || logits) this.#linear(linear);
          }
          break;
        case "wkv5": {
          const start = op.layer * width * (headSize + 2) + width;
          const S = state.subarray(start, start + width * headSize);
          wkv(
            { r: a.r, k: a.k, v: a.v, w: vector(op.decay), u: vector(op.bonus), S, y: a.y },
            headSize,
          );
          groupNorm(a.y, vector(op.norm), { headSize, eps: dimensions.groupNormEps });
          if (op.gated) { for (let c = 0; c < width; c++) a.y[c] *= a.g[c]; }
          break;
        }
        case "selectNorm":
          if (logits) layerNorm(a.x, vector(op.norm), a.selected);
          break;
        default:
          op satisfies never;
      }
    }
  }

  #linear(op: Linear): void {
    const a = this.#activations;
    const matrix = this.#matrices.get(op.weight)!;
    const to = a[op.to];
    const { columns } = matrix;
    const from = a[op.from].subarray(op.plane * columns, (op.plane + 1) * columns);
    const gate = op.gate ? a[op.gate] : null;
    matrix.multiply(from, (row, sum) => {
      let value = sum;
      if (op.activation === "silu") value /= 1 + Math.exp(-value);
      else if (op.activation === "sigmoid") value = 1 / (1 + Math.exp(-value));
      else if (op.activation === "relu2") value = value > 0 ? value * value : 0;
      if (op.write === "store") to[row] = value;
      else to[row] += gate ? gate[row] * value : value;
    });
  }
}

/** Returns the part of a state with the token shift of a site. */
function shiftOf(state: Float32Array, site: number, { width, headSize }: Dimensions): Float32Array {
  const layer = Math.floor(site / 2) * width * (headSize + 2);
  const start = layer + (site % 2 === 0 ? 0 : width + width * headSize);
  return state.subarray(start, start + width);
}

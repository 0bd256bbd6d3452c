/** Turns a model's layer graph into dispatches: kernels with weights and activations bound. */

import { commitShift } from "../../kernels/commit_shift.ts";
import { embed } from "../../kernels/embed.ts";
import { groupNormGate } from "../../kernels/group_norm_gate.ts";
import { columnGroups, type WeightType } from "../../kernels/layouts.ts";
import { type LinearSizes, matmul, matvec } from "../../kernels/linear.ts";
import { normShift } from "../../kernels/norm_shift.ts";
import { selectNorm } from "../../kernels/select_norm.ts";
import { roundUp, type StepCounts } from "../../kernels/spec.ts";
import { wkv5, wkv5Chunk } from "../../kernels/wkv5.ts";
import { type BoundBuffer, type Dispatch, Pipelines, storageBuffer, upload } from "../gpu/mod.ts";
import type { Dimensions } from "../model/dimensions.ts";
import type { ActivationName, LinearOp, Op } from "../model/graph.ts";
import type { Model } from "../model/load.ts";
import { layerGraph, shiftSites } from "../model/rwkv5.ts";
import type { GpuState } from "./gpu_state.ts";
import { type MatrixPart, uploadMatrix } from "./gpu_weights.ts";

/** From this many tokens on, a step's matrices go through the tiled kernel. */
const TILED_TOKENS = 8;

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

export interface PlanOptions {
  type: WeightType;
  maxStepTokens: number;
  /** Tokens whose logits fit at once. */
  maxOutputs: number;
  maxPartBytes?: number | undefined;
}

/** Picks what to dispatch for an operation, by the size of a step. */
type PlannedOp = (counts: StepCounts) => readonly Dispatch[];

export class GpuPlan {
  readonly logits: GPUBuffer;
  weightBytes = 0;
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  readonly #model: Model;
  readonly #state: GpuState;
  readonly #inputs: StepInputs;
  readonly #options: PlanOptions;
  readonly #activations: Record<ActivationName, GPUBuffer>;
  readonly #plane: number;
  readonly #layers: PlannedOp[] = [];
  readonly #head: PlannedOp[] = [];

  private constructor(
    device: GPUDevice,
    model: Model,
    { state, inputs, options }: { state: GpuState; inputs: StepInputs; options: PlanOptions },
  ) {
    this.#device = device;
    this.#pipelines = new Pipelines(device);
    this.#model = model;
    this.#state = state;
    this.#inputs = inputs;
    this.#options = options;
    const { width, vocabulary } = model.dimensions;
    const { maxStepTokens: tokens, maxOutputs } = options;
    // Bindings of one plane start at multiples of 256 bytes.
    this.#plane = roundUp(tokens * width, 64);
    const sizes: Record<ActivationName, number> = {
      x: tokens * width,
      mixed: 4 * this.#plane,
      r: tokens * width,
      k: tokens * width,
      v: tokens * width,
      g: tokens * width,
      y: tokens * width,
      hidden: tokens * hiddenStride(model.dimensions),
      receptance: tokens * width,
      selected: maxOutputs * width,
      logits: maxOutputs * vocabulary,
    };
    this.#activations = Object.fromEntries(
      Object.entries(sizes).map(([name, n]) => [name, storageBuffer(device, name, n * 4)]),
    ) as Record<ActivationName, GPUBuffer>;
    this.logits = this.#activations.logits;
  }

  /** Uploads the model's weights and prepares every kernel. */
  static async build(
    device: GPUDevice,
    model: Model,
    given: { state: GpuState; inputs: StepInputs; options: PlanOptions },
  ): Promise<GpuPlan> {
    const plan = new GpuPlan(device, model, given);
    for (const op of layerGraph(model.dimensions)) {
      const planned = await plan.#prepare(op);
      const chosenOnly = op.op === "selectNorm" || (op.op === "linear" && op.to === "logits");
      (chosenOnly ? plan.#head : plan.#layers).push(planned);
    }
    plan.#layers.push(await plan.#commit());
    return plan;
  }

  /** Dispatches of all layers, and those that keep the new shifts. */
  layers(counts: StepCounts): Dispatch[] {
    return this.#layers.flatMap((op) => op(counts));
  }

  /** Dispatches from the last layer's output to the logits of the chosen tokens. */
  head(counts: StepCounts): Dispatch[] {
    return this.#head.flatMap((op) => op(counts));
  }

  async #prepare(op: Op): Promise<PlannedOp> {
    const { width, heads, headSize, groupNormEps } = this.#model.dimensions;
    const { x, mixed, r, k, v, y, g, selected } = this.#bound();
    const { rows, runs, chosen } = this.#inputs;
    switch (op.op) {
      case "embed": {
        const norm = this.#vector(op.norm);
        const parts = await this.#matrix(op.table);
        return always(
          await Promise.all(parts.map(({ buffer, firstRow, rows: ids }) =>
            this.#pipelines.prepare(
              embed,
              { firstId: firstRow, ids, width, type: this.#options.type },
              { weights: { buffer }, norm, rows: { buffer: rows }, x },
            )
          )),
        );
      }
      case "normShift": {
        const { before, after } = this.#state;
        return always([
          await this.#pipelines.prepare(
            normShift,
            { width, mixes: op.mixes, plane: this.#plane },
            {
              x,
              norm: this.#vector(op.norm),
              mix: this.#vector(op.mix),
              rows: { buffer: rows },
              before: this.#state.site(before, op.site),
              after: this.#state.site(after, op.site),
              out: mixed,
            },
          ),
        ]);
      }
      case "linear":
        return await this.#linear(op);
      case "wkv5": {
        const buffers = {
          r,
          k,
          v,
          w: this.#vector(op.decay),
          u: this.#vector(op.bonus),
          runs: { buffer: runs },
          state: { buffer: this.#state.wkv[op.layer] },
          y,
        };
        const sizes = { heads, headSize };
        const one = [await this.#pipelines.prepare(wkv5, sizes, buffers)];
        const chunk = [await this.#pipelines.prepare(wkv5Chunk, sizes, buffers)];
        return (counts) => counts.tokens === counts.runs ? one : chunk;
      }
      case "groupNormGate":
        return always([
          await this.#pipelines.prepare(
            groupNormGate,
            { heads, headSize, eps: groupNormEps, gated: op.gated },
            { norm: this.#vector(op.norm), y, gate: g },
          ),
        ]);
      case "selectNorm":
        return always([
          await this.#pipelines.prepare(selectNorm, { width }, {
            x,
            norm: this.#vector(op.norm),
            chosen: { buffer: chosen },
            y: selected,
          }),
        ]);
    }
  }

  async #linear(op: LinearOp): Promise<PlannedOp> {
    const { width, vocabulary } = this.#model.dimensions;
    const { columns } = this.#model.matrix(op.weight);
    const outStride = op.to === "logits"
      ? vocabulary
      : op.to === "hidden"
      ? hiddenStride(this.#model.dimensions)
      : width;
    const per = op.to === "logits" ? "outputs" : "tokens";
    const bound = this.#bound();
    const from = op.from === "mixed"
      ? { ...bound.mixed, offset: op.plane * this.#plane * 4, size: this.#plane * 4 }
      : bound[op.from];
    const few: Dispatch[] = [];
    const many: Dispatch[] = [];
    for (const { buffer, firstRow, rows } of await this.#matrix(op.weight)) {
      const sizes: LinearSizes = {
        rows,
        columns,
        type: this.#options.type,
        rowOffset: firstRow,
        outStride,
        per,
        activation: op.activation,
        write: op.write,
      };
      const buffers: Record<string, BoundBuffer> = {
        weights: { buffer },
        x: from,
        y: bound[op.to],
        counts: { buffer: this.#inputs.counts },
        ...(op.gate ? { gate: bound[op.gate] } : {}),
      };
      few.push(await this.#pipelines.prepare(matvec, sizes, buffers));
      many.push(await this.#pipelines.prepare(matmul, sizes, buffers));
    }
    return (counts) => counts[per] < TILED_TOKENS ? few : many;
  }

  async #commit(): Promise<PlannedOp> {
    const { before, after, siteStride } = this.#state;
    const { dimensions } = this.#model;
    return always([
      await this.#pipelines.prepare(
        commitShift,
        { width: dimensions.width, sites: shiftSites(dimensions), siteStride },
        {
          runs: { buffer: this.#inputs.runs },
          after: { buffer: after },
          before: { buffer: before },
        },
      ),
    ]);
  }

  #bound(): Record<ActivationName, BoundBuffer> {
    return Object.fromEntries(
      Object.entries(this.#activations).map(([name, buffer]) => [name, { buffer }]),
    ) as Record<ActivationName, BoundBuffer>;
  }

  #vector(name: string): BoundBuffer {
    const values = this.#model.vectors.get(name);
    if (!values) throw new Error(`the graph asks for an unknown vector ${name}`);
    const buffer = storageBuffer(this.#device, name, values.byteLength);
    upload(this.#device, buffer, new Float32Array(values));
    this.weightBytes += buffer.size;
    return { buffer };
  }

  async #matrix(name: string): Promise<MatrixPart[]> {
    const { type, maxPartBytes } = this.#options;
    const parts = await uploadMatrix(this.#device, this.#model.matrix(name), {
      type,
      maxPartBytes,
    });
    for (const { buffer } of parts) this.weightBytes += buffer.size;
    return parts;
  }
}

function always(dispatches: readonly Dispatch[]): PlannedOp {
  return () => dispatches;
}

/** Numbers between two tokens' rows of the channel mix's hidden layer. */
function hiddenStride({ ffnWidth }: Dimensions): number {
  return columnGroups(ffnWidth) * 4;
}

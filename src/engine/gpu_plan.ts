/** Turns a model's layer graph into dispatches: kernels with weights and activations bound. */

import { commitShift } from "../../kernels/commit_shift.ts";
import { embed } from "../../kernels/embed.ts";
import { groupNormGate } from "../../kernels/group_norm_gate.ts";
import { linearRows, type LinearSizes, matmul } from "../../kernels/linear.ts";
import { normShift } from "../../kernels/norm_shift.ts";
import { selectNorm } from "../../kernels/select_norm.ts";
import type { StepCounts } from "../../kernels/spec.ts";
import { wkv5, wkv5Chunk } from "../../kernels/wkv5.ts";
import { type BoundBuffer, type Dispatch, type OpenDevice, Pipelines } from "../gpu/mod.ts";
import type { ActivationName, LinearOp, Op } from "../model/graph.ts";
import type { Model } from "../model/load.ts";
import { layerGraph, shiftSites } from "../model/rwkv5.ts";
import { type EngineBuffers, hiddenStride } from "./gpu_buffers.ts";
import { siteOf } from "./gpu_state.ts";
import { linearChoices } from "./linear_choice.ts";

/** Picks what to dispatch for an operation, by the size of a step. */
type PlannedOp = (counts: StepCounts) => readonly Dispatch[];

type PlanDevice = Pick<OpenDevice, "device" | "software">;

export class GpuPlan {
  readonly #pipelines: Pipelines;
  readonly #model: Model;
  readonly #buffers: EngineBuffers;
  readonly #software: boolean;
  readonly #layers: PlannedOp[] = [];
  readonly #head: PlannedOp[] = [];

  private constructor({ device, software }: PlanDevice, model: Model, buffers: EngineBuffers) {
    this.#pipelines = new Pipelines(device);
    this.#model = model;
    this.#buffers = buffers;
    this.#software = software;
  }

  /** Prepares every kernel. */
  static async build(device: PlanDevice, model: Model, buffers: EngineBuffers): Promise<GpuPlan> {
    const plan = new GpuPlan(device, model, buffers);
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
    const { inputs: { rows, runs, chosen }, state } = this.#buffers;
    switch (op.op) {
      case "embed": {
        const norm = this.#vector(op.norm);
        const { type, parts } = this.#buffers.matrices.get(op.table)!;
        return always(
          await Promise.all(parts.map(({ buffer, firstRow, rows: ids }) =>
            this.#pipelines.prepare(
              embed,
              { firstId: firstRow, ids, width, type },
              { weights: { buffer }, norm, rows: { buffer: rows }, x },
            )
          )),
        );
      }
      case "normShift":
        return always([
          await this.#pipelines.prepare(
            normShift,
            { width, mixes: op.mixes, plane: this.#buffers.plane },
            {
              x,
              norm: this.#vector(op.norm),
              mix: this.#vector(op.mix),
              rows: { buffer: rows },
              before: siteOf(state.before, op.site, state),
              after: siteOf(state.after, op.site, state),
              out: mixed,
            },
          ),
        ]);
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
          state: { buffer: state.wkv[op.layer] },
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
    const { plane, inputs, matrices } = this.#buffers;
    const { type, parts } = matrices.get(op.weight)!;
    const bound = this.#bound();
    const from = op.from === "mixed"
      ? { ...bound.mixed, offset: op.plane * plane * 4, size: plane * 4 }
      : bound[op.from];
    const choices = linearChoices(columns, { software: this.#software })
      .map((choice) => ({ ...choice, dispatches: [] as Dispatch[] }));
    for (const { buffer, firstRow, rows } of parts) {
      const sizes: LinearSizes = {
        rows,
        columns,
        type,
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
        counts: { buffer: inputs.counts },
        ...(op.gate ? { gate: bound[op.gate] } : {}),
      };
      for (const { tile, dispatches } of choices) {
        dispatches.push(
          tile
            ? await this.#pipelines.prepare(linearRows, { ...sizes, tile }, buffers)
            : await this.#pipelines.prepare(matmul, sizes, buffers),
        );
      }
    }
    return (counts) => choices.find(({ tokens }) => counts[per] <= tokens)!.dispatches;
  }

  async #commit(): Promise<PlannedOp> {
    const { inputs, state: { before, after, siteStride } } = this.#buffers;
    const { dimensions } = this.#model;
    return always([
      await this.#pipelines.prepare(
        commitShift,
        { width: dimensions.width, sites: shiftSites(dimensions), siteStride },
        {
          runs: { buffer: inputs.runs },
          after: { buffer: after },
          before: { buffer: before },
        },
      ),
    ]);
  }

  #bound(): Record<ActivationName, BoundBuffer> {
    return Object.fromEntries(
      Object.entries(this.#buffers.activations).map(([name, buffer]) => [name, { buffer }]),
    ) as Record<ActivationName, BoundBuffer>;
  }

  #vector(name: string): BoundBuffer {
    const buffer = this.#buffers.vectors.get(name);
    if (!buffer) throw new Error(`the graph asks for an unknown vector ${name}`);
    return { buffer };
  }
}

function always(dispatches: readonly Dispatch[]): PlannedOp {
  return () => dispatches;
}

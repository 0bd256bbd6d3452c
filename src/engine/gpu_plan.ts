/** Turns a model's layer graph into dispatches: kernels with weights and activations bound. */

import { commitShift } from "../../kernels/commit_shift.ts";
import { embed } from "../../kernels/embed.ts";
import { groupNormGate } from "../../kernels/group_norm_gate.ts";
import { type LinearPart, linearRows, matmul } from "../../kernels/linear.ts";
import { normShift } from "../../kernels/norm_shift.ts";
import { selectNorm } from "../../kernels/select_norm.ts";
import type { StepCounts } from "../../kernels/spec.ts";
import { wkv5Chunk, wkv5Step } from "../../kernels/wkv5.ts";
import { type BoundBuffer, type Dispatch, type OpenDevice, Pipelines } from "../gpu/mod.ts";
import type { Linear, Op } from "../model/graph.ts";
import type { Model } from "../model/load.ts";
import { layerGraph, shiftSites } from "../model/rwkv5.ts";
import { type EngineBuffers, hiddenStride, type MatrixPart } from "./gpu_buffers.ts";
import { siteOf } from "./gpu_state.ts";
import { linearChoices } from "./linear_choice.ts";

/** Picks what to dispatch for an operation, by the size of a step. */
type PlannedOp = (counts: StepCounts) => readonly Dispatch[];

type Wkv5Op = Extract<Op, { op: "wkv5" }>;

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
      const chosenOnly = op.op === "selectNorm" ||
        (op.op === "linears" && op.linears[0].to === "logits");
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
    const { width } = this.#model.dimensions;
    const { x, mixed, selected } = this.#buffers.activations;
    const { inputs: { rows, chosen }, state } = this.#buffers;
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
      case "linears":
        return await this.#linears(op.linears);
      case "wkv5":
        return await this.#wkv5(op);
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

  /** Runs of one token take one dispatch, others two. */
  async #wkv5({ layer, decay, bonus, norm, gated }: Wkv5Op): Promise<PlannedOp> {
    const { heads, headSize, groupNormEps: eps } = this.#model.dimensions;
    const { inputs, state, activations: { r, k, v, g, y } } = this.#buffers;
    const shared = {
      w: this.#vector(decay),
      u: this.#vector(bonus),
      runs: { buffer: inputs.runs },
      state: { buffer: state.wkv[layer] },
      y,
    };
    const sizes = { heads, headSize };
    const offsets = { r: r.offset / 4, k: k.offset / 4, v: v.offset / 4, g: g.offset / 4 };
    const step = [
      await this.#pipelines.prepare(
        wkv5Step,
        { ...sizes, offsets, eps, gated },
        { ...shared, projected: { buffer: r.buffer }, norm: this.#vector(norm) },
      ),
    ];
    const chunk = [
      await this.#pipelines.prepare(wkv5Chunk, sizes, { ...shared, r, k, v }),
      await this.#pipelines.prepare(
        groupNormGate,
        { ...sizes, eps, gated },
        { norm: this.#vector(norm), y, gate: g },
      ),
    ];
    return ({ tokens, runs }) => tokens === runs ? step : chunk;
  }

  async #linears(linears: readonly Linear[]): Promise<PlannedOp> {
    const { write, gate, to } = linears[0];
    const { inputs, matrices, activations: bound } = this.#buffers;
    const per = to === "logits" ? "outputs" : "tokens";
    const { columns } = this.#model.matrix(linears[0].weight);
    const choices = linearChoices(columns, { software: this.#software })
      .map((choice) => ({ ...choice, dispatches: [] as Dispatch[] }));
    const placed = linears.flatMap((linear) => {
      const { type, parts } = matrices.get(linear.weight)!;
      return parts.map((part) => ({ type, part, linear }));
    });
    for (const [buffer, group] of Map.groupBy(placed, ({ part }) => part.buffer)) {
      const [{ type, part: { bufferRows } }] = group;
      const buffers: Record<string, BoundBuffer> = {
        weights: { buffer },
        x: { buffer: bound[linears[0].from].buffer },
        y: { buffer: bound[to].buffer },
        counts: { buffer: inputs.counts },
        ...(gate ? { gate: bound[gate] } : {}),
      };
      const parts = group.map(({ linear, part }) => this.#linearPart(linear, part));
      const sizes = { columns, type, bufferRows, per, write } as const;
      for (const { tile, dispatches } of choices) {
        if (tile) {
          const one = { ...sizes, parts, tile };
          dispatches.push(await this.#pipelines.prepare(linearRows, one, buffers));
        } else {
          for (const part of parts) {
            const one = { ...sizes, parts: [part] };
            dispatches.push(await this.#pipelines.prepare(matmul, one, buffers));
          }
        }
      }
    }
    return (counts) => choices.find(({ tokens }) => counts[per] <= tokens)!.dispatches;
  }

  #linearPart({ from, plane, to, activation }: Linear, part: MatrixPart): LinearPart {
    const { dimensions } = this.#model;
    const { activations } = this.#buffers;
    const { rows, firstBlock, firstRow } = part;
    return {
      rows,
      firstBlock,
      xOffset: activations[from].offset / 4 + plane * this.#buffers.plane,
      yOffset: activations[to].offset / 4,
      rowOffset: firstRow,
      outStride: to === "logits"
        ? dimensions.vocabulary
        : to === "hidden"
        ? hiddenStride(dimensions)
        : dimensions.width,
      activation,
    };
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

  #vector(name: string): BoundBuffer {
    const buffer = this.#buffers.vectors.get(name);
    if (!buffer) throw new Error(`the graph asks for an unknown vector ${name}`);
    return { buffer };
  }
}

function always(dispatches: readonly Dispatch[]): PlannedOp {
  return () => dispatches;
}

/** Converts a model's layer graph to dispatches: kernels with weights and activations bound. */

import { commitShift } from "../../../kernels/commit_shift.ts";
import { embed } from "../../../kernels/embed.ts";
import { groupNormGate } from "../../../kernels/group_norm_gate.ts";
import {
  balanceTile,
  type LinearPart,
  linearRows,
  linearShifted,
  matmul,
} from "../../../kernels/linear.ts";
import { normShift } from "../../../kernels/norm_shift.ts";
import { selectNorm } from "../../../kernels/select_norm.ts";
import type { StepCounts } from "../../../kernels/spec.ts";
import { wkv5Chunk, wkv5Step } from "../../../kernels/wkv5.ts";
import { type BoundBuffer, type Dispatch, type OpenDevice, type Pipelines } from "../../gpu/mod.ts";
import type { Linear, Op } from "../../model/graph.ts";
import type { Model } from "../../model/load.ts";
import { layerGraph, shiftSites } from "../../model/architectures/registry.ts";
import { groupBy } from "../../core/group_by.ts";
import { type EngineBuffers, hiddenStride, type MatrixPart } from "./buffers.ts";
import { shiftSiteBinding } from "./state.ts";
import { logitsStride } from "./sampling_buffers.ts";
import { type LinearChoice, linearChoices, type TileDevice, tileDevice } from "./linear_choice.ts";

/** Returns the dispatches of an operation for a step of the given size. */
type PlannedOp = (counts: StepCounts) => readonly Dispatch[];

/** Maximum bytes of workgroup memory for partial sums. */
const SUM_BYTES = 8 * 1024;

type NormShiftOp = Extract<Op, { op: "normShift" }>;
type LinearsOp = Extract<Op, { op: "linears" }>;
type Wkv5Op = Extract<Op, { op: "wkv5" }>;

type PlanDevice = Pick<OpenDevice, "device" | "software"> & {
  pipelines: Pipelines;
  tuned?: readonly LinearChoice[] | undefined;
};

export class GpuPlan {
  readonly #device: PlanDevice;
  readonly #pipelines: Pipelines;
  readonly #model: Model;
  readonly #buffers: EngineBuffers;
  readonly #tiles: TileDevice;
  readonly #tuned: readonly LinearChoice[] | undefined;
  readonly #layers: PlannedOp[] = [];
  readonly #head: PlannedOp[] = [];

  private constructor(open: PlanDevice, model: Model, buffers: EngineBuffers) {
    const { pipelines, tuned } = open;
    this.#device = open;
    this.#pipelines = pipelines;
    this.#model = model;
    this.#buffers = buffers;
    this.#tiles = tileDevice(open);
    this.#tuned = tuned;
  }

  /** Prepares all kernels. */
  static async build(device: PlanDevice, model: Model, buffers: EngineBuffers): Promise<GpuPlan> {
    const plan = new GpuPlan(device, model, buffers);
    const graph = layerGraph(model.dimensions);
    for (let i = 0; i < graph.length; i++) {
      const [op, next] = [graph[i], graph[i + 1]];
      if (op.op === "normShift" && next.op === "linears" && plan.#canFuse(op, next)) {
        plan.#layers.push(await plan.#planShifted(op, next));
        i++;
        continue;
      }
      const planned = await plan.#prepare(op);
      const inHead = op.op === "selectNorm" ||
        (op.op === "linears" && op.linears[0].to === "logits");
      (inHead ? plan.#head : plan.#layers).push(planned);
    }
    plan.#layers.push(await plan.#commit());
    return plan;
  }

  /** Returns the same plan with tuned tiles. */
  withTuning(tuned: readonly LinearChoice[]): Promise<GpuPlan> {
    return GpuPlan.build({ ...this.#device, tuned }, this.#model, this.#buffers);
  }

  /** Returns the dispatches of all layers and of the commit of the token shifts. */
  layers(counts: StepCounts): Dispatch[] {
    return this.#layers.flatMap((op) => op(counts));
  }

  /** Returns the dispatches from the last layer's output to the logits of the output rows. */
  head(counts: StepCounts): Dispatch[] {
    return this.#head.flatMap((op) => op(counts));
  }

  async #prepare(op: Op): Promise<PlannedOp> {
    const { width } = this.#model.dimensions;
    const { x, mixed, selected } = this.#buffers.activations;
    const { rows, outputRows } = this.#buffers.inputs;
    switch (op.op) {
      case "embed": {
        const norm = this.#vector(op.norm);
        const { type, parts } = this.#buffers.matrices.get(op.table)!;
        return constant(
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
        return constant([
          await this.#pipelines.prepare(
            normShift,
            { width, mixes: op.mixes, plane: this.#buffers.planeStride },
            { ...this.#shiftBuffers(op), out: mixed },
          ),
        ]);
      case "linears":
        return await this.#linears(op.linears);
      case "wkv5":
        return await this.#wkv5(op);
      case "selectNorm":
        return constant([
          await this.#pipelines.prepare(selectNorm, { width }, {
            x,
            norm: this.#vector(op.norm),
            outputRows: { buffer: outputRows },
            y: selected,
          }),
        ]);
    }
  }

  /**
   * Returns whether steps of one token fuse a norm with its linears into one dispatch. Every
   * workgroup then repeats the normalization, which costs more than a separate dispatch if there are
   * many mixes. A row must fit into workgroup memory together with the partial sums.
   */
  #canFuse({ mixes }: NormShiftOp, { linears }: LinearsOp): boolean {
    const { maxComputeWorkgroupStorageSize } = this.#device.device.limits;
    const { columns } = this.#model.matrix(linears[0].weight);
    return mixes <= 2 && columns * 4 + SUM_BYTES <= maxComputeWorkgroupStorageSize;
  }

  async #planShifted(norm: NormShiftOp, op: LinearsOp): Promise<PlannedOp> {
    const separate = [await this.#prepare(norm), await this.#prepare(op)];
    const { linears } = op;
    const { columns } = this.#model.matrix(linears[0].weight);
    const [{ tile }] = linearChoices({ columns, maxTokens: 1 }, this.#tiles, this.#tuned);
    const fused: Dispatch[] = [];
    for (const { buffer, type, bufferRows, placed } of this.#byBuffer(linears)) {
      const parts = placed.map(({ linear, part }) => ({
        ...this.#linearPart(linear, part),
        xOffset: linear.plane * columns,
      }));
      fused.push(
        await this.#pipelines.prepare(
          linearShifted,
          { columns, type, bufferRows, parts, tile: tile!, per: "tokens", write: "store" },
          {
            ...this.#shiftBuffers(norm),
            weights: { buffer },
            y: { buffer: this.#buffers.activations[linears[0].to].buffer },
            counts: { buffer: this.#buffers.inputs.counts },
          },
        ),
      );
    }
    return (counts) => counts.tokens === 1 ? fused : separate.flatMap((planned) => planned(counts));
  }

  #shiftBuffers({ norm, mix, site }: NormShiftOp): Record<string, BoundBuffer> {
    const { activations: { x }, inputs, state } = this.#buffers;
    return {
      x,
      norm: this.#vector(norm),
      mix: this.#vector(mix),
      rows: { buffer: inputs.rows },
      shiftIn: shiftSiteBinding(state.shiftIn, site, state),
      shiftOut: shiftSiteBinding(state.shiftOut, site, state),
    };
  }

  /** Plans WKV5: one dispatch if all runs have one token, otherwise two. */
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
    const { inputs, activations: bound, maxOutputs, maxStepTokens } = this.#buffers;
    const per = to === "logits" ? "outputs" : "tokens";
    const { columns } = this.#model.matrix(linears[0].weight);
    const maxTokens = per === "outputs" ? maxOutputs : maxStepTokens;
    const choices = linearChoices({ columns, maxTokens }, this.#tiles, this.#tuned)
      .map((choice) => ({ ...choice, dispatches: [] as Dispatch[] }));
    for (const { buffer, type, bufferRows, placed } of this.#byBuffer(linears)) {
      const buffers: Record<string, BoundBuffer> = {
        weights: { buffer },
        x: { buffer: bound[linears[0].from].buffer },
        y: { buffer: bound[to].buffer },
        counts: { buffer: inputs.counts },
        ...(gate ? { gate: bound[gate] } : {}),
      };
      const parts = placed.map(({ linear, part }) => this.#linearPart(linear, part));
      const sizes = { columns, type, bufferRows, per, write } as const;
      for (const { tile, dispatches } of choices) {
        if (tile) {
          const one = { ...sizes, parts, tile: balanceTile(parts, tile) };
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

  /** Groups the matrices' parts by buffer. */
  #byBuffer(linears: readonly Linear[]) {
    const all = linears.flatMap((linear) => {
      const { type, parts } = this.#buffers.matrices.get(linear.weight)!;
      return parts.map((part) => ({ type, part, linear }));
    });
    return [...groupBy(all, ({ part }) => part.buffer)].map(([buffer, placed]) => {
      const [{ type, part: { bufferRows } }] = placed;
      return { buffer, type, bufferRows, placed };
    });
  }

  #linearPart({ from, plane, to, activation }: Linear, part: MatrixPart): LinearPart {
    const { dimensions } = this.#model;
    const { activations } = this.#buffers;
    const { rows, firstBlock, firstRow } = part;
    return {
      rows,
      firstBlock,
      xOffset: activations[from].offset / 4 + plane * this.#buffers.planeStride,
      yOffset: activations[to].offset / 4,
      rowOffset: firstRow,
      outStride: to === "logits"
        ? logitsStride(dimensions)
        : to === "hidden"
        ? hiddenStride(dimensions)
        : dimensions.width,
      activation,
    };
  }

  async #commit(): Promise<PlannedOp> {
    const { inputs, state: { shiftIn, shiftOut, siteStride } } = this.#buffers;
    const { dimensions } = this.#model;
    return constant([
      await this.#pipelines.prepare(
        commitShift,
        { width: dimensions.width, sites: shiftSites(dimensions), siteStride },
        {
          runs: { buffer: inputs.runs },
          shiftOut: { buffer: shiftOut },
          shiftIn: { buffer: shiftIn },
        },
      ),
    ]);
  }

  #vector(name: string): BoundBuffer {
    const buffer = this.#buffers.vectors.get(name);
    if (!buffer) throw new Error(`Cannot bind vector ${name}: the model has no such vector`);
    return { buffer };
  }
}

function constant(dispatches: readonly Dispatch[]): PlannedOp {
  return () => dispatches;
}

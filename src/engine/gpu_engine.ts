/** The engine on WebGPU: one submit a step, states resident in device memory. */

import type { StepCounts } from "../../kernels/spec.ts";
import { InferenceError } from "../core/errors.ts";
import {
  encode,
  type OpenDevice,
  readFloats,
  stagingBuffer,
  storageBuffer,
  upload,
} from "../gpu/mod.ts";
import type { Model } from "../model/load.ts";
import { checkRuns, checkSlot, checkState } from "./check_runs.ts";
import type { Engine, EngineInfo, Quant, Run } from "./engine.ts";
import { GpuPlan, type StepInputs } from "./gpu_plan.ts";
import { GpuState } from "./gpu_state.ts";

/** Bytes of logits that are held on the device at once. */
const LOGITS_BYTES = 32 * 1024 * 1024;

export interface GpuEngineOptions {
  quant: Quant;
  slots: number;
  maxStepTokens: number;
  /** Bytes of one weight buffer at most; the device's limit unless told. */
  maxPartBytes?: number | undefined;
}

interface Parts {
  open: OpenDevice;
  info: EngineInfo;
  inputs: StepInputs;
  plan: GpuPlan;
  state: GpuState;
  maxOutputs: number;
}

export class GpuEngine implements Engine {
  readonly info: EngineInfo;
  readonly #device: GPUDevice;
  readonly #inputs: StepInputs;
  readonly #plan: GpuPlan;
  readonly #state: GpuState;
  readonly #maxOutputs: number;
  readonly #staging: GPUBuffer;
  /** What the device reported outside of any call; every later call fails with it. */
  #fault: InferenceError | null = null;
  /** The last call's end: calls are carried out one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor({ open, info, inputs, plan, state, maxOutputs }: Parts) {
    this.info = info;
    this.#device = open.device;
    this.#inputs = inputs;
    this.#plan = plan;
    this.#state = state;
    this.#maxOutputs = maxOutputs;
    this.#staging = stagingBuffer(this.#device, "logits", plan.logits.size);
    this.#device.lost.then(({ reason, message }) => {
      this.#fault ??= new InferenceError("device_lost", `The GPU is gone (${reason}): ${message}`);
    });
    this.#device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#fault ??= new InferenceError(
        "device_lost",
        `The GPU refused work: ${(event as GPUUncapturedErrorEvent).error.message}`,
      );
    });
  }

  /**
   * Uploads a model's weights to a device.
   *
   * @throws InferenceError `device_lost` if the device runs out of memory or refuses a kernel.
   */
  static async create(
    open: OpenDevice,
    model: Model,
    { quant, slots, maxStepTokens, maxPartBytes }: GpuEngineOptions,
  ): Promise<GpuEngine> {
    const { device, adapter, software } = open;
    const { dimensions } = model;
    const { headSize, vocabulary } = dimensions;
    if (headSize > device.limits.maxComputeInvocationsPerWorkgroup) {
      throw new InferenceError(
        "invalid_checkpoint",
        `Cannot run ${model.name} on ${adapter}: its head size ${headSize} is above the ` +
          `${device.limits.maxComputeInvocationsPerWorkgroup} threads of a workgroup; use --device cpu`,
      );
    }
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    const state = new GpuState(device, { dimensions, slots });
    const inputs: StepInputs = {
      rows: storageBuffer(device, "rows", maxStepTokens * 16),
      runs: storageBuffer(device, "runs", slots * 16),
      chosen: storageBuffer(device, "chosen", maxStepTokens * 4),
      counts: device.createBuffer({
        label: "counts",
        size: 16,
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      }),
    };
    const maxOutputs = Math.min(
      maxStepTokens,
      Math.max(1, Math.floor(LOGITS_BYTES / (vocabulary * 4))),
    );
    const options = {
      type: quant === "none" ? "f32" as const : quant,
      maxStepTokens,
      maxOutputs,
      maxPartBytes,
    };
    const plan = await GpuPlan.build(device, model, { state, inputs, options });
    for (const error of [await device.popErrorScope(), await device.popErrorScope()]) {
      if (error) {
        throw new InferenceError(
          "device_lost",
          `Cannot put ${model.name} on ${adapter}: ${error.message}`,
        );
      }
    }
    const info: EngineInfo = {
      device: "webgpu",
      adapter,
      software,
      quant,
      dimensions,
      fingerprint: model.fingerprint,
      slots,
      maxStepTokens,
      weightBytes: plan.weightBytes,
    };
    return new GpuEngine({ open, info, inputs, plan, state, maxOutputs });
  }

  step(runs: readonly Run[]): Promise<Float32Array[]> {
    return this.#inOrder(async () => {
      checkRuns(runs, this.info);
      if (runs.length === 0) return [];
      const outputs = this.#writeInputs(runs);
      const counts: StepCounts = {
        tokens: runs.reduce((n, run) => n + run.tokens.length, 0),
        runs: runs.length,
        outputs: 0,
      };
      const { vocabulary } = this.info.dimensions;
      const rows: Float32Array[] = [];
      let first = 0;
      do {
        // Logits beyond what is held at once take further rounds of the head alone.
        const chosen = outputs.slice(first, first + this.#maxOutputs);
        const values = await this.#round(
          { ...counts, outputs: chosen.length },
          chosen,
          first === 0,
        );
        for (let o = 0; o < chosen.length; o++) {
          rows.push(values.subarray(o * vocabulary, (o + 1) * vocabulary));
        }
        first += this.#maxOutputs;
      } while (first < outputs.length);
      return this.#byRun(runs, rows);
    });
  }

  readState(slot: number): Promise<Float32Array> {
    return this.#inOrder(async () => {
      checkSlot(slot, this.info);
      return await this.#state.read(slot);
    });
  }

  writeState(slot: number, state: Float32Array | null): Promise<void> {
    return this.#inOrder(() => {
      checkSlot(slot, this.info);
      if (state) checkState(state, this.info);
      this.#state.write(slot, state);
      return Promise.resolve();
    });
  }

  async close(): Promise<void> {
    await this.#last.catch(() => {});
    this.#fault ??= new InferenceError("device_lost", "The engine is closed");
    this.#device.destroy();
  }

  /** Sends rows and runs to the device; returns the rows whose logits are wanted. */
  #writeInputs(runs: readonly Run[]): number[] {
    const rows: number[] = [];
    const runRows: number[] = [];
    const outputs: number[] = [];
    for (const { slot, tokens, logits } of runs) {
      const first = rows.length / 4;
      runRows.push(slot, first, tokens.length, 0);
      tokens.forEach((id, i) => {
        const last = i === tokens.length - 1;
        rows.push(id, slot, i === 0 ? 1 : 0, last ? 1 : 0);
        if (logits === "all" || (logits === "last" && last)) outputs.push(first + i);
      });
    }
    upload(this.#device, this.#inputs.rows, new Uint32Array(rows));
    upload(this.#device, this.#inputs.runs, new Uint32Array(runRows));
    return outputs;
  }

  /** One submit: the layers if asked for, then the logits of the chosen rows, read back. */
  async #round(counts: StepCounts, chosen: number[], layers: boolean): Promise<Float32Array> {
    const device = this.#device;
    upload(device, this.#inputs.chosen, new Uint32Array(chosen));
    const { tokens, runs, outputs } = counts;
    upload(device, this.#inputs.counts, new Uint32Array([tokens, runs, outputs, 0]));
    const encoder = device.createCommandEncoder({ label: "step" });
    const pass = encoder.beginComputePass({ label: "step" });
    if (layers) encode(pass, this.#plan.layers(counts), counts);
    if (outputs > 0) encode(pass, this.#plan.head(counts), counts);
    pass.end();
    const length = outputs * this.info.dimensions.vocabulary;
    if (length > 0) encoder.copyBufferToBuffer(this.#plan.logits, 0, this.#staging, 0, length * 4);
    device.queue.submit([encoder.finish()]);
    return length > 0 ? await readFloats(this.#staging, length) : new Float32Array();
  }

  #byRun(runs: readonly Run[], rows: readonly Float32Array[]): Float32Array[] {
    const { vocabulary } = this.info.dimensions;
    let at = 0;
    return runs.map(({ tokens, logits }) => {
      const count = logits === "all" ? tokens.length : logits === "last" ? 1 : 0;
      const joined = new Float32Array(count * vocabulary);
      for (let i = 0; i < count; i++) joined.set(rows[at++], i * vocabulary);
      return joined;
    });
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.catch(() => {}).then(async () => {
      if (this.#fault) throw this.#fault;
      const value = await work();
      if (this.#fault) throw this.#fault;
      return value;
    });
    this.#last = result;
    return result;
  }
}

/** The engine on WebGPU: one submit a step, states resident in device memory. */

import type { StepCounts } from "../../kernels/spec.ts";
import { InferenceError } from "../core/errors.ts";
import {
  DeviceBuffers,
  encode,
  type MemoryBytes,
  type OpenDevice,
  readFloats,
  totalBytes,
  upload,
} from "../gpu/mod.ts";
import { heldTypes } from "../model/held_types.ts";
import type { Model } from "../model/load.ts";
import { checkRuns, checkSlot, checkState } from "./check_runs.ts";
import type { Engine, EngineInfo, OnProgress, Run } from "./engine.ts";
import { assertFits } from "./fits.ts";
import {
  type BufferOptions,
  type EngineBuffers,
  makeBuffers,
  measureBuffers,
} from "./gpu_buffers.ts";
import { GpuPlan } from "./gpu_plan.ts";
import { GpuState } from "./gpu_state.ts";
import { fillWeights } from "./gpu_weights.ts";

export interface GpuEngineOptions extends BufferOptions {
  /** Bytes that the device is known to have free, if that is known. */
  available?: number | undefined;
  onProgress?: OnProgress | undefined;
}

export class GpuEngine implements Engine {
  readonly info: EngineInfo;
  readonly #device: GPUDevice;
  readonly #buffers: EngineBuffers;
  readonly #plan: GpuPlan;
  readonly #state: GpuState;
  /** What the device reported outside of any call; every later call fails with it. */
  #fault: InferenceError | null = null;
  /** The last call's end: calls are carried out one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    device: GPUDevice,
    info: EngineInfo,
    { buffers, plan }: { buffers: EngineBuffers; plan: GpuPlan },
  ) {
    this.info = info;
    this.#device = device;
    this.#buffers = buffers;
    this.#plan = plan;
    this.#state = new GpuState(device, info.dimensions, buffers.state);
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
   * @throws InferenceError `insufficient_memory` before any weight is read, where there is too
   * little; `invalid_value` where the model can't be held so; `device_lost` if the device refuses a
   * kernel.
   */
  static async create(
    { device, adapter, software }: OpenDevice,
    model: Model,
    { available, onProgress, ...options }: GpuEngineOptions,
  ): Promise<GpuEngine> {
    const { dimensions } = model;
    const { headSize } = dimensions;
    if (headSize > device.limits.maxComputeInvocationsPerWorkgroup) {
      throw new InferenceError(
        "invalid_checkpoint",
        `Cannot run ${model.name} on ${adapter}: its head size ${headSize} is above the ` +
          `${device.limits.maxComputeInvocationsPerWorkgroup} threads of a workgroup; use --device cpu`,
      );
    }
    heldTypes(model, options.quant);
    const measure = (quant: BufferOptions["quant"]): MemoryBytes =>
      measureBuffers(device.limits, model, { ...options, quant });
    const fits = { model, quant: options.quant, place: adapter, measure };
    if (available !== undefined) assertFits({ ...fits, available });
    device.pushErrorScope("validation");
    const made = new DeviceBuffers(device);
    const buffers = makeBuffers(made, model, options);
    const given = await made.outOfMemoryAt();
    if (given !== null) {
      made.destroy();
      await device.popErrorScope();
      assertFits({ ...fits, available: Math.min(given, totalBytes(made.bytes) - 1) });
    }
    const plan = await GpuPlan.build({ device, software }, model, buffers);
    await fillWeights(device, model, { buffers, onProgress });
    const error = await device.popErrorScope();
    if (error) {
      throw new InferenceError(
        "device_lost",
        `Cannot put ${model.name} on ${adapter}: ${error.message}`,
      );
    }
    const { quant, slots, maxStepTokens } = options;
    const info: EngineInfo = {
      device: "webgpu",
      adapter,
      software,
      quant,
      dimensions,
      fingerprint: model.fingerprint,
      slots,
      maxStepTokens,
      memory: made.bytes,
    };
    return new GpuEngine(device, info, { buffers, plan });
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
      const { maxOutputs } = this.#buffers;
      const rows: Float32Array[] = [];
      let first = 0;
      do {
        // Logits beyond what is held at once take further rounds of the head alone.
        const chosen = outputs.slice(first, first + maxOutputs);
        const values = await this.#round(
          { ...counts, outputs: chosen.length },
          chosen,
          first === 0,
        );
        for (let o = 0; o < chosen.length; o++) {
          rows.push(values.subarray(o * vocabulary, (o + 1) * vocabulary));
        }
        first += maxOutputs;
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
    upload(this.#device, this.#buffers.inputs.rows, new Uint32Array(rows));
    upload(this.#device, this.#buffers.inputs.runs, new Uint32Array(runRows));
    return outputs;
  }

  /** One submit: the layers if asked for, then the logits of the chosen rows, read back. */
  async #round(counts: StepCounts, chosen: number[], layers: boolean): Promise<Float32Array> {
    const device = this.#device;
    upload(device, this.#buffers.inputs.chosen, new Uint32Array(chosen));
    const { tokens, runs, outputs } = counts;
    upload(device, this.#buffers.inputs.counts, new Uint32Array([tokens, runs, outputs, 0]));
    const encoder = device.createCommandEncoder({ label: "step" });
    const pass = encoder.beginComputePass({ label: "step" });
    if (layers) encode(pass, this.#plan.layers(counts), counts);
    if (outputs > 0) encode(pass, this.#plan.head(counts), counts);
    pass.end();
    const length = outputs * this.info.dimensions.vocabulary;
    const { activations: { logits }, logitsStaging } = this.#buffers;
    if (length > 0) encoder.copyBufferToBuffer(logits.buffer, 0, logitsStaging, 0, length * 4);
    device.queue.submit([encoder.finish()]);
    return length > 0 ? await readFloats(logitsStaging, length) : new Float32Array();
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

/** The WebGPU engine. States, sampling and the tokens between steps stay in device memory. */

import type { StepCounts } from "../../../kernels/spec.ts";
import { InferenceError } from "../../core/errors.ts";
import type { Constraint } from "../../core/sampling.ts";
import { CPU_ONLY_PARAMETERS } from "../../core/sampling_parameters.ts";
import {
  DeviceQueue,
  encodeDispatches,
  type OpenDevice,
  type SizedDispatch,
  sizeDispatches,
  upload,
} from "../../gpu/mod.ts";
import type { Model } from "../../model/load.ts";
import {
  assertFinite,
  checkGenerate,
  checkRuns,
  checkSlot,
  checkSlotSampling,
  checkState,
} from "../check_runs.ts";
import {
  type EngineInfo,
  type GenerateResult,
  type GenerateRun,
  needsCpuSampling,
  type Run,
  type SamplingEngine,
  type SlotSampling,
} from "../engine.ts";
import type { EngineBuffers } from "./buffers.ts";
import { createParts, type EngineParts, type GpuEngineOptions } from "./parts.ts";
import type { GpuPlan } from "./plan.ts";
import { profileDispatches, type StepProfile } from "./profile.ts";
import type { GpuSampling } from "./sampling.ts";
import { GpuState } from "./state.ts";
import type { LinearChoice } from "./linear_choice.ts";
import { logitsStride, MAX_STEPS } from "./sampling_buffers.ts";
import { buildStepInput, stepCounts, type StepInput } from "./step_input.ts";

/** Placeholder id of a token that is gathered on the device. */
const GATHERED = 0;

/** An engine on WebGPU. A step, including sampling, is one submit. */
export class GpuEngine implements SamplingEngine {
  /** Properties of the engine; `device` is "webgpu". */
  readonly info: EngineInfo;
  /** Maximum steps per call of `generate`. */
  readonly maxSteps: number = MAX_STEPS;
  readonly #device: GPUDevice;
  readonly #queue: DeviceQueue;
  readonly #buffers: EngineBuffers;
  #plan: GpuPlan;
  readonly #sampling: GpuSampling;
  readonly #state: GpuState;
  #closed = false;

  private constructor(device: GPUDevice, { info, buffers, plan, sampling }: EngineParts) {
    this.info = info;
    this.#device = device;
    this.#queue = new DeviceQueue(device);
    this.#buffers = buffers;
    this.#plan = plan;
    this.#sampling = sampling;
    this.#state = new GpuState(device, info.dimensions, buffers.state);
  }

  /**
   * Uploads a model's weights to a device.
   *
   * @throws InferenceError `insufficient_memory` before any weight is read if memory is too small;
   * `invalid_value` if the model cannot be stored as `quant`; `device_lost` if the device rejects a
   * kernel.
   */
  static async create(
    open: OpenDevice,
    model: Model,
    options: GpuEngineOptions,
  ): Promise<GpuEngine> {
    return new GpuEngine(open.device, await createParts(open, model, options));
  }

  /** Resolves when the device fails. */
  get failed(): Promise<InferenceError> {
    return this.#queue.failed;
  }

  /** Milliseconds since the last call; 0 during a call. */
  get idleMs(): number {
    return this.#queue.idleMs;
  }

  /** Whether `close` has been called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Switches to tuned tiles. Calls continue meanwhile, and results do not change. */
  async applyTuning(choices: readonly LinearChoice[]): Promise<void> {
    this.#plan = await this.#plan.withTuning(choices);
  }

  async step(runs: readonly Run[]): Promise<Float32Array[]> {
    checkRuns(runs, this.info);
    if (runs.length === 0) return [];
    const input = buildStepInput(runs.map(({ slot, tokens, logits }) => ({
      slot,
      tokens,
      needsLogits: (i) => logits === "all" || (logits === "last" && i === tokens.length - 1),
    })));
    const { maxOutputs } = this.#buffers;
    const rounds: Promise<Float32Array[]>[] = [];
    let first = 0;
    do {
      // Logits that exceed the buffer need further rounds, which run only the head.
      const outputRows = input.outputRows.slice(first, first + maxOutputs);
      rounds.push(this.#logits({ ...input, outputRows }, first === 0));
      first += maxOutputs;
    } while (first < input.outputRows.length);
    return this.#groupByRun(runs, (await Promise.all(rounds)).flat());
  }

  prepareConstraint(_constraint: Constraint): Promise<void> {
    return Promise.reject(unsupportedOnDevice());
  }

  async startSampling(slot: number, sampling: SlotSampling): Promise<void> {
    checkSlot(slot, this.info);
    checkSlotSampling(sampling, this.info);
    if (needsCpuSampling(sampling)) throw unsupportedOnDevice();
    await this.#queue.run({ write: () => this.#sampling.start(slot, sampling) });
  }

  async generate(runs: readonly GenerateRun[], steps: number): Promise<GenerateResult[]> {
    checkGenerate(runs, steps, { ...this.info, maxSteps: this.maxSteps });
    if (runs.length === 0) return [];
    // Runs whose token is gathered on the device must be first.
    const ordered = [...runs].sort((a, b) => a.tokens.length - b.tokens.length);
    const input = buildStepInput(ordered.map(({ slot, tokens: inputs, sample }) => {
      const tokens = inputs.length === 0 ? [GATHERED] : inputs;
      return { slot, tokens, needsLogits: (i) => sample && i === tokens.length - 1 };
    }));
    const counts = stepCounts(input, runs.filter(({ tokens }) => tokens.length === 0).length);
    const read = this.#sampling.nextStaging();
    const sampled = await this.#queue.run({
      encode: (encoder) => {
        this.#sampling.encodeClear(encoder);
        const dispatches = this.#stepDispatches(counts);
        const pass = encoder.beginComputePass({ label: "generate" });
        for (let step = 0; step < steps; step++) encodeDispatches(pass, dispatches);
        pass.end();
        this.#sampling.encodeCopy(encoder, read.staging);
      },
      write: () => this.#writeInput(input),
      read,
      expectMore: true,
    });
    return runs.map(({ slot, sample }) =>
      sample
        ? this.#sampling.decodeResult(sampled!, slot)
        : { tokens: [], finishReason: null, fault: null }
    );
  }

  /**
   * Measures a step in which the first `batch` slots continue decoding, as in `generate`.
   *
   * @throws InferenceError `invalid_value` if the device does not support timestamp queries.
   */
  async profile(batch: number, rounds: number): Promise<StepProfile> {
    const slots = Array.from({ length: batch }, (_, slot) => slot);
    const input = buildStepInput(
      slots.map((slot) => ({ slot, tokens: [GATHERED], needsLogits: () => true })),
    );
    const dispatches = this.#stepDispatches(stepCounts(input, batch));
    await this.#queue.run({ write: () => this.#writeInput(input) });
    return await profileDispatches(this.#device, this.#queue, { dispatches, rounds });
  }

  async readState(slot: number): Promise<Float32Array> {
    checkSlot(slot, this.info);
    const read = this.#state.nextStaging();
    const bytes = await this.#queue.run({
      encode: (encoder) => this.#state.copyToStaging(encoder, slot, read.staging),
      read,
    });
    const state = new Float32Array(bytes!);
    assertFinite(state);
    return state;
  }

  async writeState(slot: number, state: Float32Array | null): Promise<void> {
    checkSlot(slot, this.info);
    if (state) checkState(state, this.info);
    await this.#queue.run({ write: () => this.#state.write(slot, state) });
  }

  async copyState(from: number, to: number): Promise<void> {
    checkSlot(from, this.info);
    checkSlot(to, this.info);
    await this.#queue.run({ encode: (encoder) => this.#state.copySlot(encoder, from, to) });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.close();
    this.#device.destroy();
  }

  /** Runs the layers, if requested, and the head in one submit; returns one row per output. */
  async #logits(input: StepInput, layers: boolean): Promise<Float32Array[]> {
    const { outputRows } = input;
    const counts = stepCounts(input);
    const stride = logitsStride(this.info.dimensions);
    const { activations: { logits }, logitsStaging: staging } = this.#buffers;
    const bytes = outputRows.length * stride * 4;
    const read = await this.#queue.run({
      encode: (encoder) => {
        const pass = encoder.beginComputePass({ label: "step" });
        if (layers) encodeDispatches(pass, sizeDispatches(this.#plan.layers(counts), counts));
        if (outputRows.length > 0) {
          encodeDispatches(pass, sizeDispatches(this.#plan.head(counts), counts));
        }
        pass.end();
        if (bytes > 0) encoder.copyBufferToBuffer(logits.buffer, 0, staging.buffer, 0, bytes);
      },
      write: () => this.#writeInput(input),
      ...(bytes > 0 ? { read: { staging, bytes } } : {}),
    });
    const { vocabulary } = this.info.dimensions;
    return outputRows.map((_, o) => new Float32Array(read!, o * stride * 4, vocabulary));
  }

  #stepDispatches(counts: StepCounts): SizedDispatch[] {
    const { before, after } = this.#sampling.dispatches;
    return sizeDispatches(
      [before, ...this.#plan.layers(counts), ...this.#plan.head(counts), after],
      counts,
    );
  }

  #writeInput(input: StepInput): void {
    const { rows, runs, outputRows, counts } = this.#buffers.inputs;
    upload(this.#device, rows, new Uint32Array(input.rows));
    upload(this.#device, runs, new Uint32Array(input.runs));
    upload(this.#device, outputRows, new Uint32Array(input.outputRows));
    const { tokens, runs: count, outputs } = stepCounts(input);
    upload(this.#device, counts, new Uint32Array([tokens, count, outputs, 0]));
  }

  #groupByRun(runs: readonly Run[], rows: readonly Float32Array[]): Float32Array[] {
    const { vocabulary } = this.info.dimensions;
    let at = 0;
    return runs.map(({ tokens, logits }) => {
      const count = logits === "all" ? tokens.length : logits === "last" ? 1 : 0;
      const joined = new Float32Array(count * vocabulary);
      for (let i = 0; i < count; i++) joined.set(rows[at++], i * vocabulary);
      return joined;
    });
  }
}

function unsupportedOnDevice(): InferenceError {
  return new InferenceError(
    "unsupported_value",
    "Cannot sample on the device: constraints, log probabilities, " +
      `${CPU_ONLY_PARAMETERS.join(" and ")} are unsupported there; use CpuSamplingEngine`,
  );
}

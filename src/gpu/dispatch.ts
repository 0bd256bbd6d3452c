/** Pipelines of kernels, built once per shader text, and dispatches with their buffers bound. */

import { type KernelSpec, shaderCode, type StepCounts } from "../../kernels/spec.ts";
import { InferenceError } from "../core/errors.ts";
import { SHADER_STAGE } from "./flags.ts";

/** A buffer, or a part of one, to bind. Offsets are multiples of 256 bytes. */
export interface BoundBuffer {
  buffer: GPUBuffer;
  offset?: number;
  size?: number;
}

/** A kernel with pipeline and buffers, ready for any step. */
export interface Dispatch {
  /** The kernel, and which use of it, for a profile. */
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: (counts: StepCounts) => [number, number, number];
  readonly bytes: (counts: StepCounts) => number;
}

const BINDING_TYPE = {
  read: "read-only-storage",
  readWrite: "storage",
  uniform: "uniform",
} as const;

/** Builds pipelines for one device and keeps them by shader text. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Binds `buffers`, one for every binding of the kernel, by name.
   *
   * @throws InferenceError `device_lost` with the shader compiler's messages.
   */
  async prepare<P>(
    spec: KernelSpec<P>,
    sizes: P,
    buffers: Record<string, BoundBuffer>,
  ): Promise<Dispatch> {
    const pipeline = await this.#pipeline(spec, sizes);
    const group = this.#device.createBindGroup({
      label: spec.name,
      layout: pipeline.getBindGroupLayout(0),
      entries: Object.keys(spec.bindings(sizes)).map((name, binding) => {
        const bound = buffers[name];
        if (!bound) throw new Error(`kernel ${spec.name}: nothing bound to ${name}`);
        const { buffer, offset = 0, size } = bound;
        return { binding, resource: { buffer, offset, ...(size === undefined ? {} : { size }) } };
      }),
    });
    const variant = spec.variant?.(sizes);
    return {
      label: variant === undefined ? spec.name : `${spec.name} ${variant}`,
      pipeline,
      group,
      grid: (counts) => spec.grid(sizes, counts),
      bytes: (counts) => spec.bytes?.(sizes, counts) ?? 0,
    };
  }

  #pipeline<P>(spec: KernelSpec<P>, sizes: P): Promise<GPUComputePipeline> {
    const code = shaderCode(spec, sizes);
    let pipeline = this.#pipelines.get(code);
    if (!pipeline) {
      pipeline = this.#build(spec, sizes, code);
      this.#pipelines.set(code, pipeline);
    }
    return pipeline;
  }

  async #build<P>(spec: KernelSpec<P>, sizes: P, code: string): Promise<GPUComputePipeline> {
    const device = this.#device;
    const layout = device.createBindGroupLayout({
      label: spec.name,
      entries: Object.values(spec.bindings(sizes)).map((access, binding) => ({
        binding,
        visibility: SHADER_STAGE.COMPUTE,
        buffer: { type: BINDING_TYPE[access] },
      })),
    });
    const module = device.createShaderModule({ label: spec.name, code });
    try {
      return await device.createComputePipelineAsync({
        label: spec.name,
        layout: device.createPipelineLayout({ label: spec.name, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const lines = messages.map((m) => `line ${m.lineNum}: ${m.message}`).join("; ");
      throw new InferenceError(
        "device_lost",
        `Cannot compile the kernel ${spec.name}: ${lines || (cause as Error).message}`,
        { cause, fault: "shader" },
      );
    }
  }
}

/** A dispatch of known size. */
export interface SizedDispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** Workgroups. */
  readonly size: readonly [x: number, y: number, z: number];
  /** Bytes that it reads and writes at least. */
  readonly bytes: number;
}

/** Dispatches for a step of given counts, in order; those with an empty grid are left out. */
export function sizeDispatches(
  dispatches: readonly Dispatch[],
  counts: StepCounts,
): SizedDispatch[] {
  return dispatches
    .map(({ label, pipeline, group, grid, bytes }) => (
      { label, pipeline, group, size: grid(counts), bytes: bytes(counts) }
    ))
    .filter(({ size: [x, y, z] }) => x * y * z > 0);
}

/** Adds dispatches to a pass, in order. */
export function encodeDispatches(
  pass: GPUComputePassEncoder,
  dispatches: readonly SizedDispatch[],
): void {
  for (const { pipeline, group, size: [x, y, z] } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(x, y, z);
  }
}

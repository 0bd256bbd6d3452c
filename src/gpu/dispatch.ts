/** Compute pipelines, built once per shader text, and dispatches with their buffers bound. */

import { type KernelSpec, shaderCode, type StepCounts } from "../../kernels/spec.ts";
import { InferenceError } from "../core/errors.ts";
import { SHADER_STAGE } from "./flags.ts";

/** A buffer, or a range of one, to bind. Offsets are multiples of 256 bytes. */
export interface BoundBuffer {
  buffer: GPUBuffer;
  offset?: number;
  size?: number;
}

/** A kernel with its pipeline and buffers; the grid depends on the step. */
export interface Dispatch {
  /** The kernel's name and variant, shown in profiles. */
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

/** Builds pipelines for one device and caches them by shader text. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Builds the kernel's pipeline and binds `buffers` by binding name.
   *
   * @throws InferenceError `device_lost` with the compiler's messages if the shader is rejected.
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
        if (!bound) throw new Error(`Cannot bind kernel ${spec.name}: no buffer for ${name}`);
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

/** A dispatch with a fixed grid. */
export interface SizedDispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** Number of workgroups. */
  readonly size: readonly [x: number, y: number, z: number];
  /** Minimum bytes read and written. */
  readonly bytes: number;
}

/** Computes the grids for a step, in order, and omits dispatches with an empty grid. */
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

/** Encodes dispatches into a pass, in order. */
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

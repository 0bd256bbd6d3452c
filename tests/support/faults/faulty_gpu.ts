/** A `GPU` whose devices fail when a test wants them to. Everything else is the real one's. */

/** What is to fail, and how. All devices that come of one `GPU` look here. */
export class GpuFaults {
  /** Whether buffers are refused for want of memory. */
  full = false;
  /** Whether pipelines can't be built. */
  noPipelines = false;
  /** Whether buffers that are mapped from now on stay as they are for ever. */
  hang = false;
  /** Every device that was opened, the last one last. */
  readonly devices: GPUDevice[] = [];
  readonly #buffers: { device: GPUDevice; buffer: GPUBuffer; label: string }[] = [];
  #hung: PromiseWithResolvers<void> = Promise.withResolvers();

  get device(): GPUDevice {
    return this.devices[this.devices.length - 1];
  }

  /** Resolves when something waits for a buffer that is never mapped. */
  get hung(): Promise<void> {
    return this.#hung.promise;
  }

  /** Takes the device away. */
  lose(): void {
    this.device.destroy();
  }

  /** Lets the device report that it has no memory left, outside of any call. */
  exhaust(): void {
    const error = new GPUOutOfMemoryError("none is left");
    this.device.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));
  }

  /** Writes NaN, in float32 and float16, over the head's weights. */
  spoilWeights(): void {
    const { device } = this;
    const heads = this.#buffers.filter((made) =>
      made.device === device && made.label.includes("head")
    );
    if (heads.length === 0) throw new Error("there is no buffer of the head's weights");
    for (const { buffer } of heads) {
      device.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / 4).fill(0x7fff_7fff));
    }
  }

  /** A device that fails as told. */
  wrap(device: GPUDevice): GPUDevice {
    this.devices.push(device);
    let denied = 0;
    return overrideMethods(device, {
      createBuffer: (descriptor: GPUBufferDescriptor) => {
        if (this.full) denied++;
        const buffer = device.createBuffer(descriptor);
        this.#buffers.push({ device, buffer, label: descriptor.label ?? "" });
        const mapAsync = buffer.mapAsync.bind(buffer);
        buffer.mapAsync = (...given) => {
          if (!this.hang) return mapAsync(...given);
          this.#hung.resolve();
          return new Promise(() => {});
        };
        return buffer;
      },
      popErrorScope: async () => {
        const error = await device.popErrorScope();
        if (denied === 0) return error;
        denied--;
        return new GPUOutOfMemoryError("none is left");
      },
      createComputePipelineAsync: (descriptor: GPUComputePipelineDescriptor) => {
        if (!this.noPipelines) return device.createComputePipelineAsync(descriptor);
        return Promise.reject(new GPUPipelineError("no", { reason: "internal" }));
      },
    });
  }
}

/** A `GPU` with devices that fail as `faults` says. */
export function faultyGpu(gpu: GPU, faults: GpuFaults): GPU {
  return overrideMethods(gpu, {
    requestAdapter: async (options?: GPURequestAdapterOptions) => {
      const adapter = await gpu.requestAdapter(options);
      return adapter && overrideMethods(adapter, {
        requestDevice: async (descriptor?: GPUDeviceDescriptor) =>
          faults.wrap(await adapter.requestDevice(descriptor)),
      });
    },
  });
}

/** As `target`, but for some members; the platform's methods want the real object as `this`. */
export function overrideMethods<T extends object>(
  target: T,
  members: Partial<Record<keyof T, unknown>>,
): T {
  return new Proxy(target, {
    get: (_, name) => {
      if (name in members) return members[name as keyof T];
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

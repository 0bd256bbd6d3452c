/** Wraps a real `GPU` to inject device failures. */

/** The faults to inject into all devices of one `GPU`. */
export class GpuFaults {
  /** Whether creating buffers fails with out of memory. */
  outOfMemory = false;
  /** Whether creating pipelines fails. */
  failPipelines = false;
  /** Whether mapping buffers never completes. */
  hang = false;
  /** All devices opened, in order. */
  readonly devices: GPUDevice[] = [];
  readonly #buffers: { device: GPUDevice; buffer: GPUBuffer; label: string }[] = [];
  #hung: PromiseWithResolvers<void> = Promise.withResolvers();

  get device(): GPUDevice {
    return this.devices[this.devices.length - 1];
  }

  /** Resolves when a call waits for a buffer that is never mapped. */
  get hung(): Promise<void> {
    return this.#hung.promise;
  }

  /** Loses the device. */
  loseDevice(): void {
    this.device.destroy();
  }

  /** Makes the device report out of memory outside of any call. */
  reportOutOfMemory(): void {
    const error = new GPUOutOfMemoryError("injected fault");
    this.device.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));
  }

  /** Overwrites the head's weights with NaN, in float32 and float16. */
  corruptWeights(): void {
    const { device } = this;
    const heads = this.#buffers.filter((entry) =>
      entry.device === device && entry.label.includes("head")
    );
    if (heads.length === 0) {
      throw new Error("Cannot corrupt the head's weights: there is no such buffer");
    }
    for (const { buffer } of heads) {
      device.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / 4).fill(0x7fff_7fff));
    }
  }

  /** Returns the device with these faults injected. */
  wrap(device: GPUDevice): GPUDevice {
    this.devices.push(device);
    let pendingErrors = 0;
    return overrideMethods(device, {
      createBuffer: (descriptor: GPUBufferDescriptor) => {
        if (this.outOfMemory) pendingErrors++;
        const buffer = device.createBuffer(descriptor);
        this.#buffers.push({ device, buffer, label: descriptor.label ?? "" });
        const mapAsync = buffer.mapAsync.bind(buffer);
        buffer.mapAsync = (...args) => {
          if (!this.hang) return mapAsync(...args);
          this.#hung.resolve();
          return new Promise(() => {});
        };
        return buffer;
      },
      popErrorScope: async () => {
        const error = await device.popErrorScope();
        if (pendingErrors === 0) return error;
        pendingErrors--;
        return new GPUOutOfMemoryError("injected fault");
      },
      createComputePipelineAsync: (descriptor: GPUComputePipelineDescriptor) => {
        if (!this.failPipelines) return device.createComputePipelineAsync(descriptor);
        return Promise.reject(new GPUPipelineError("injected fault", { reason: "internal" }));
      },
    });
  }
}

/** Returns a `GPU` with `faults` injected into its devices. */
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

/** Returns `target` with some members replaced; other methods get the real object as `this`. */
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

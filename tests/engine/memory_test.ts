import assert from "node:assert/strict";
import { CpuEngine, measureCpuMemory } from "../../src/engine/cpu/cpu_engine.ts";
import { GpuEngine } from "../../src/engine/gpu/gpu_engine.ts";
import { measureBuffers } from "../../src/engine/gpu/buffers.ts";
import { MemorySink } from "../../src/formats/byte_sink.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { DeviceBuffers, type OpenDevice, totalBytes } from "../../src/gpu/mod.ts";
import { convertModel } from "../../src/model/convert.ts";
import { type Model, openModel } from "../../src/model/load.ts";
import type { Quant } from "../../src/quant/mod.ts";
import { testDevice } from "../support/adapter.ts";
import { writePth } from "../formats/pth_fixture.ts";
import { QUICK } from "../support/quick.ts";
import { tinyModel } from "./tiny_model.ts";

const file = writePth(tinyModel({
  version: "5.2",
  layers: 2,
  heads: 3,
  headSize: 8,
  ffnWidth: 86,
  vocabulary: 200,
  dtype: "F32",
}));

const open = () => openModel(new MemorySource("tiny.pth", file));

const SIZES = { slots: 3, maxStepTokens: 5 };

/** A device with `bytes` of memory that counts the bytes still allocated. */
function smallDevice({ device, ...rest }: OpenDevice, bytes: number) {
  const allocated = { bytes: 0 };
  const failures: boolean[] = [];
  const wrapped = new Proxy(device, {
    get: (target, key) => {
      if (key === "createBuffer") {
        return (descriptor: GPUBufferDescriptor) => {
          const buffer = target.createBuffer(descriptor);
          allocated.bytes += descriptor.size;
          if (allocated.bytes > bytes) failures[failures.length - 1] = true;
          const destroy = buffer.destroy.bind(buffer);
          buffer.destroy = () => {
            allocated.bytes -= descriptor.size;
            destroy();
          };
          return buffer;
        };
      }
      if (key === "pushErrorScope") {
        return (filter: GPUErrorFilter) => {
          failures.push(false);
          target.pushErrorScope(filter);
        };
      }
      if (key === "popErrorScope") {
        return () => {
          const failed = failures.pop();
          const error = target.popErrorScope();
          return failed ? error.then(() => ({ message: "out of memory" })) : error;
        };
      }
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { open: { device: wrapped, ...rest }, allocated };
}

for (const quant of ["none", "f16", "int8", "nf4", "nf4,head=int8"] as const) {
  if (QUICK && (quant === "f16" || quant === "int8")) continue;
  Deno.test(`the measured bytes equal the allocated bytes, as ${quant}`, async () => {
    const device = await testDevice();
    let allocatedBytes = 0;
    const counting: OpenDevice = {
      ...device,
      device: new Proxy(device.device, {
        get: (target, key) => {
          const value = Reflect.get(target, key, target);
          if (key !== "createBuffer") {
            return typeof value === "function" ? value.bind(target) : value;
          }
          return (descriptor: GPUBufferDescriptor) => {
            allocatedBytes += descriptor.size;
            return target.createBuffer(descriptor);
          };
        },
      }),
    };
    const gpu = await GpuEngine.create(counting, await open(), { quant, ...SIZES });
    assert.equal(totalBytes(gpu.info.memory), allocatedBytes);
    const limits = device.device.limits;
    assert.deepEqual(gpu.info.memory, measureBuffers(limits, await open(), { quant, ...SIZES }));
    let read = 0;
    const onProgress = (done: number, total: number) => {
      assert.ok(done > read && done <= total);
      read = done;
    };
    const cpu = await CpuEngine.create(await open(), { quant, ...SIZES, onProgress });
    const vectors = (await open()).vectors.values().reduce((sum, v) => sum + v.byteLength, 0);
    assert.equal(read + vectors, cpu.info.memory.weights);
    assert.deepEqual(cpu.info.memory, measureCpuMemory(await open(), { quant, ...SIZES }));
  });
}

Deno.test("a model that does not fit is rejected before loading, with a format that fits", async () => {
  const { device } = await testDevice();
  const unread = async (): Promise<Model> => {
    const model = await open();
    const fail = () => Promise.reject(new Error("a weight was read"));
    return {
      ...model,
      matrix: (name) => ({ ...model.matrix(name), readRows: fail, readPacked: fail }),
    };
  };
  const needs = async (quant: Quant) =>
    totalBytes(measureBuffers(device.limits, await open(), { quant, ...SIZES }));
  const assertRejected = async (quant: Quant, available: number, message: RegExp) => {
    const options = { quant, ...SIZES, availableBytes: available };
    const expected = { code: "insufficient_memory", message };
    await assert.rejects(GpuEngine.create(await testDevice(), await unread(), options), expected);
  };
  await assertRejected(
    "none",
    await needs("f16"),
    /tiny\.pth as none: it needs .* --quant f16 needs/,
  );
  await assertRejected("none", await needs("int8"), /; --quant int8 needs/);
  await assertRejected("int8", await needs("nf4"), /as int8: .*; --quant nf4 needs/);
  await assertRejected("int8", 1000, /no smaller format would fit: nf4 needs/);
  await assertRejected("nf4", 1000, /no smaller format would fit$/);
  const cpu = { quant: "none", ...SIZES, availableBytes: 50_000 } as const;
  await assert.rejects(CpuEngine.create(await unread(), cpu), {
    code: "insufficient_memory",
    message: /this machine has 0\.05 MB free; --quant int8 needs/,
  });
});

Deno.test("for a converted file that does not fit, the error suggests another conversion", async () => {
  const sink = new MemorySink("tiny-int8.safetensors");
  await convertModel(await open(), sink, { quant: "int8" });
  const model = await openModel(new MemorySource(sink.name, sink.bytes));
  const fits = totalBytes(measureCpuMemory(model, { quant: "nf4", ...SIZES }));
  await assert.rejects(CpuEngine.create(model, { quant: "int8", ...SIZES, availableBytes: fits }), {
    code: "insufficient_memory",
    message: /convert the original file with --quant nf4/,
  });
});

Deno.test("out of memory reports the available bytes and frees all buffers", async () => {
  const { device } = await testDevice();
  const bytes = totalBytes(
    measureBuffers(device.limits, await open(), { quant: "f16", ...SIZES }),
  ) - 1;
  const { open: smallOpen, allocated } = smallDevice(await testDevice(), bytes);
  await assert.rejects(GpuEngine.create(smallOpen, await open(), { quant: "f16", ...SIZES }), {
    code: "insufficient_memory",
    message: /as f16: it needs .* has .* free; --quant int8 needs/,
  });
  assert.equal(allocated.bytes, 0);
  await GpuEngine.create(smallOpen, await open(), { quant: "int8", ...SIZES });
});

Deno.test("a buffer above the device's limits is rejected with both sizes and a remedy", async () => {
  const { device } = await testDevice();
  const buffers = new DeviceBuffers({
    limits: { maxBufferSize: 4096, maxStorageBufferBindingSize: 2048 },
    createBuffer: (descriptor) => device.createBuffer(descriptor),
    pushErrorScope: () => {},
    popErrorScope: () => Promise.resolve(null),
  });
  for (
    const [use, remedy] of [["weights", "a smaller --quant"], ["states", "fewer slots"]] as const
  ) {
    assert.throws(() => buffers.storage(use, "head", 2050), {
      code: "invalid_value",
      message: new RegExp(`"head": it needs 2064 bytes .* at most 2048; use ${remedy}`),
    });
  }
  buffers.storage("weights", "head", 2048);
  assert.deepEqual(buffers.bytes, { weights: 2048, states: 0, work: 0 });
});

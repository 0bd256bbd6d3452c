import assert from "node:assert/strict";
import { selectDevice } from "../../src/server/select_device.ts";
import { InferenceError } from "../../src/core/errors.ts";
import {
  type FakeAdapter,
  gpuWithAdapterInfo,
  gpuWithFakeAdapter,
} from "../support/faults/fake_adapter.ts";

const HARDWARE = { description: "NVIDIA L4" };

async function selected(choice: "auto" | "webgpu" | "cpu", fake: FakeAdapter | null) {
  const { open, selection } = await selectDevice(choice, gpuWithAdapterInfo(fake));
  return { device: open ? "webgpu" : "cpu", ...selection };
}

Deno.test("auto prefers the CPU engine to a software renderer, detected by flag or by name", async () => {
  const names = [
    "llvmpipe (LLVM 15.0.6, 256 bits)",
    "SwiftShader Device (Subzero)",
    "Microsoft Basic Render Driver",
    "softpipe",
    "Apple Software Renderer",
  ];
  const fakes = [
    ...names.map((description) => ({ description })),
    { description: "Some renderer", isFallbackAdapter: true },
  ];
  for (const fake of fakes) {
    const reason = `CPU engine: the only WebGPU adapter is ${fake.description}, a software ` +
      "renderer; use --device webgpu to force it";
    assert.deepEqual(await selected("auto", fake), { device: "cpu", reason, warning: reason });
  }
});

Deno.test("auto selects the CPU engine without an adapter that can run the kernels", async () => {
  const { device, reason } = await selected("auto", null);
  assert.equal(device, "cpu");
  assert.match(reason, /^CPU engine: there is no WebGPU adapter; install a Vulkan driver/);

  const low = { ...HARDWARE, limits: { maxStorageBuffersPerShaderStage: 4 } };
  assert.deepEqual(
    (await selected("auto", low)).reason,
    [
      "CPU engine: the limits of the adapter NVIDIA L4 are too low",
      "(maxStorageBuffersPerShaderStage 4 of 8)",
    ].join(" "),
  );

  // A hardware adapter is tried before the fallback.
  assert.match(
    (await selected("auto", HARDWARE)).reason,
    /^CPU engine: Cannot open a device on NVIDIA L4: a fake; use --device webgpu to force it$/,
  );
});

Deno.test("auto selects a hardware adapter", async () => {
  const { open, selection } = await selectDevice(
    "auto",
    gpuWithFakeAdapter(navigator.gpu, HARDWARE),
  );
  assert.equal(open?.adapter, "NVIDIA L4");
  assert.equal(open.software, false);
  assert.deepEqual(selection, {
    reason: "WebGPU engine: NVIDIA L4 is a hardware adapter",
    warning: null,
  });
  open.device.destroy();
});

Deno.test("an explicit device is used, with a warning for a software renderer, or rejected", async () => {
  assert.deepEqual(await selected("cpu", HARDWARE), {
    device: "cpu",
    reason: "CPU engine: requested with --device cpu",
    warning: null,
  });
  const llvmpipe = { description: "llvmpipe" };
  const { open, selection } = await selectDevice(
    "webgpu",
    gpuWithFakeAdapter(navigator.gpu, llvmpipe),
  );
  assert.equal(open?.software, true);
  assert.match(selection.warning!, /llvmpipe is a software renderer, slower than --device cpu$/);
  open.device.destroy();

  const refusals: [FakeAdapter | null, RegExp][] = [
    [null, /there is no WebGPU adapter; install .* mesa-vulkan-drivers and libvulkan1/],
    [{ ...HARDWARE, limits: { maxComputeWorkgroupStorageSize: 8192 } }, /too low .* 8192 of 16384/],
    [HARDWARE, /Cannot open a device on NVIDIA L4: a fake/],
  ];
  for (const [fake, message] of refusals) {
    await assert.rejects(selected("webgpu", fake), (error) => {
      assert.ok(error instanceof InferenceError);
      assert.match(error.message, message);
      return true;
    });
  }
});

/** Work on a device whose calls throw. */

import assert from "node:assert/strict";
import { DeviceQueue } from "../../src/gpu/mod.ts";

/** A device whose calls throw, and that reports its loss when `lose` is called. */
function deadDevice(thrown: Error): { device: GPUDevice; lose(): void } {
  const lost = Promise.withResolvers<{ reason: string; message: string }>();
  const device = {
    lost: lost.promise,
    addEventListener() {},
    createCommandEncoder() {
      throw thrown;
    },
  };
  return {
    device: device as unknown as GPUDevice,
    lose: () => lost.resolve({ reason: "unknown", message: "it fell off" }),
  };
}

Deno.test("a call that throws before its device reports the loss fails with device_lost", async () => {
  const { device, lose } = deadDevice(new Error("Parent device is lost"));
  const queue = new DeviceQueue(device);
  const work = queue.run({ encode: () => {} });
  setTimeout(lose, 10);
  await assert.rejects(work, { name: "InferenceError", code: "device_lost", fault: "device_lost" });
  await assert.rejects(queue.run({ encode: () => {} }), { code: "device_lost" });
});

Deno.test("an exception from a working device is not mistaken for its loss", async () => {
  const bug = new TypeError("a bug of the tests");
  const queue = new DeviceQueue(deadDevice(bug).device);
  await assert.rejects(queue.run({ encode: () => {} }), bug);
});

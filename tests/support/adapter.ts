/** The device of the GPU tests. Without an adapter they fail; they are never skipped. */

import { type OpenDevice, openDevice } from "../../src/gpu/mod.ts";

let opened: Promise<OpenDevice> | undefined;

/** Returns the device, opened once per test file. */
export function testDevice(): Promise<OpenDevice> {
  opened ??= (async () => {
    const open = await openDevice(navigator.gpu);
    if (!open) {
      throw new Error(
        "Cannot run GPU tests: there is no WebGPU adapter; install a Vulkan driver, " +
          "for example Debian's mesa-vulkan-drivers and libvulkan1",
      );
    }
    return open;
  })();
  return opened;
}

/** The device that GPU tests run on. There is no skipping: without an adapter they fail. */

import { type OpenDevice, openDevice } from "../../src/gpu/mod.ts";

let opened: Promise<OpenDevice> | undefined;

/** Opens the device once for a test file. */
export function testDevice(): Promise<OpenDevice> {
  opened ??= (async () => {
    const open = await openDevice(navigator.gpu);
    if (!open) {
      throw new Error(
        "GPU tests need a WebGPU adapter: install a Vulkan driver, " +
          "for example Debian's mesa-vulkan-drivers and libvulkan1",
      );
    }
    return open;
  })();
  return opened;
}

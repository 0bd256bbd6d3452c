/** Selects the fastest engine of this machine, unless `--device` selects one. */

import { InferenceError } from "../core/errors.ts";
import type { DeviceSelection } from "../engine/engine.ts";
import { findAdapter, type FoundAdapter, openAdapter, type OpenDevice } from "../gpu/mod.ts";
import type { DeviceChoice } from "../settings/model_settings.ts";

/** The selection: an open device, or null for the CPU engine. */
export interface SelectedDevice {
  open: OpenDevice | null;
  selection: DeviceSelection;
}

const INSTALL_DRIVER = "install a Vulkan driver for your GPU";
const FORCE = "use --device webgpu to force it";

/**
 * Selects a device of `gpu`, by default the platform's. `auto` selects a hardware adapter that can
 * run the kernels, otherwise the CPU engine, which is faster than a software renderer.
 *
 * @throws InferenceError `no_adapter` if `webgpu` is requested and no adapter can run the kernels.
 */
export async function selectDevice(
  choice: DeviceChoice,
  gpu: GPU | undefined = platformGpu(choice),
): Promise<SelectedDevice> {
  if (choice === "cpu") return cpu("requested with --device cpu", { warn: false });
  const found = await findAdapter(gpu);
  if (choice === "webgpu") return await requested(gpu, found);
  if (!gpu || !found) return cpu(`there is no WebGPU adapter; ${INSTALL_DRIVER} to use it`);
  const { name, software, insufficientLimits } = found;
  if (software) return cpu(`the only WebGPU adapter is ${name}, a software renderer; ${FORCE}`);
  if (insufficientLimits.length > 0) {
    return cpu(`the limits of the adapter ${name} are too low (${insufficientLimits.join(", ")})`);
  }
  try {
    const open = await openAdapter(gpu, found);
    const reason = `WebGPU engine: ${name} is a hardware adapter`;
    return { open, selection: { reason, warning: null } };
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    return cpu(`${error.message}; ${FORCE}`);
  }
}

async function requested(
  gpu: GPU | undefined,
  found: FoundAdapter | null,
): Promise<SelectedDevice> {
  if (!gpu || !found) {
    throw new InferenceError(
      "no_adapter",
      `Cannot use --device webgpu: there is no WebGPU adapter; ${INSTALL_DRIVER} (Debian's ` +
        "mesa-vulkan-drivers and libvulkan1 provide a software one), or use --device cpu",
      { param: "device" },
    );
  }
  const open = await openAdapter(gpu, found);
  const reason = "WebGPU engine: requested with --device webgpu";
  if (!found.software) return { open, selection: { reason, warning: null } };
  const warning = `${reason}; ${found.name} is a software renderer, slower than --device cpu`;
  return { open, selection: { reason: warning, warning } };
}

function cpu(why: string, { warn = true } = {}): SelectedDevice {
  const reason = `CPU engine: ${why}`;
  return { open: null, selection: { reason, warning: warn ? reason : null } };
}

/**
 * Returns the platform's WebGPU. Sets `XDG_RUNTIME_DIR`, without which Mesa prints a warning for
 * every adapter request.
 */
export function platformGpu(choice: DeviceChoice = "auto"): GPU | undefined {
  if (choice === "cpu") return undefined;
  if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  return navigator.gpu;
}

/** Installs the Debian packages that tests need: a software WebGPU adapter and curl. */

const ADAPTER_PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];

/** Returns whether there is a WebGPU adapter; as root on Debian, installs a software one if not. */
export async function ensureAdapter(): Promise<boolean> {
  if (await hasAdapter()) return true;
  const names = ADAPTER_PACKAGES.join(" and ");
  const remedy = `install a Vulkan driver for your GPU, or Debian's ${names}`;
  if (!await mayInstall()) {
    console.error(`error: Cannot run GPU tests: there is no WebGPU adapter; ${remedy}`);
    return false;
  }
  console.error(`No WebGPU adapter found: installing ${names}`);
  if (await install(ADAPTER_PACKAGES) && await hasAdapter()) return true;
  console.error(`error: Cannot run GPU tests: ${names} provide no WebGPU adapter; ${remedy}`);
  return false;
}

/** Installs curl if it is missing and can be installed; the tests that need it fail otherwise. */
export async function ensureCurl(): Promise<void> {
  if (await succeeds("curl", ["--version"], "null") || !await mayInstall()) return;
  console.error("curl not found: installing it");
  await install(["curl"]);
}

/** Returns whether packages can be installed: as root on Debian. */
async function mayInstall(): Promise<boolean> {
  return Deno.uid() === 0 && await succeeds("apt-get", ["--version"], "null");
}

async function install(packages: string[]): Promise<boolean> {
  return await succeeds("apt-get", ["update", "-qq"]) &&
    await succeeds("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages]);
}

/** Checks in a separate process, because a process tries to load the Vulkan driver only once. */
function hasAdapter(): Promise<boolean> {
  const code = "Deno.exit(await navigator.gpu?.requestAdapter() ? 0 : 1)";
  return succeeds(Deno.execPath(), ["eval", code]);
}

async function succeeds(
  command: string,
  args: string[],
  stdout: "inherit" | "null" = "inherit",
): Promise<boolean> {
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const child = new Deno.Command(command, { args, env, stdout, stderr: "inherit" });
    return (await child.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * `deno task test`: sees to it that there are a WebGPU adapter and curl, runs every test, and ends
 * with one line, `N passed, N failed`. Arguments are passed on to Deno's test runner.
 */

/** What gives Debian a software adapter. */
const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];

// Where there is OpenGL but no Vulkan, an adapter is found all the same: one core of a software
// renderer, ten times slower than Debian's Vulkan one.
if (Deno.build.os === "linux") {
  Deno.env.set("DENO_WEBGPU_BACKEND", Deno.env.get("DENO_WEBGPU_BACKEND") || "vulkan");
}

Deno.env.set("XDG_RUNTIME_DIR", Deno.env.get("XDG_RUNTIME_DIR") || "/tmp");
await ensureCurl();
Deno.exit(await ensureAdapter() ? await runTests() : report({ passed: 0, failed: 1 }));

async function ensureAdapter(): Promise<boolean> {
  if (await hasAdapter()) return true;
  const remedy = `install a Vulkan driver for your GPU, or Debian's ${PACKAGES.join(" and ")}`;
  if (!await mayInstall()) {
    console.error(`error: the GPU tests need a WebGPU adapter and there is none: ${remedy}`);
    return false;
  }
  console.error(`There is no WebGPU adapter: installing ${PACKAGES.join(" and ")}`);
  if (await install(PACKAGES) && await hasAdapter()) return true;
  console.error(`error: installing them gave no WebGPU adapter: ${remedy}`);
  return false;
}

/** Where it cannot be had, the tests that need it say so. */
async function ensureCurl(): Promise<void> {
  if (await succeeds("curl", ["--version"], "null") || !await mayInstall()) return;
  console.error("There is no curl: installing it");
  await install(["curl"]);
}

/** As root on Debian. */
async function mayInstall(): Promise<boolean> {
  return Deno.uid() === 0 && await succeeds("apt-get", ["--version"], "null");
}

async function install(packages: string[]): Promise<boolean> {
  return await succeeds("apt-get", ["update", "-qq"]) &&
    await succeeds("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages]);
}

/** Asked in a process of its own: a process loads the Vulkan driver once, or never. */
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

async function runTests(): Promise<number> {
  const flags = [
    "-A",
    "--unstable-kv",
    "--lock=tests/deno.lock",
    "--ignore=tests/clients,tests/browser",
  ];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", ...flags, ...Deno.args],
    cwd: new URL("..", import.meta.url),
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const counts = { passed: 0, failed: 0 };
  const decoder = new TextDecoder();
  let tail = "";
  for await (const bytes of child.stdout) {
    await Deno.stdout.write(bytes);
    tail = (tail + decoder.decode(bytes, { stream: true })).slice(-2000);
  }
  const { success } = await child.status;
  // deno-lint-ignore no-control-regex -- the runner colours its summary on a terminal
  const summary = tail.replace(/\x1b\[[\d;]*m/g, "").match(/(\d+) passed.*?\| (\d+) failed/);
  if (summary) {
    counts.passed = Number(summary[1]);
    counts.failed = Number(summary[2]);
  }
  // A run that broke down before its summary, or that leaked, has failed whatever it counted.
  if (!success && counts.failed === 0) counts.failed = 1;
  return report(counts);
}

function report({ passed, failed }: { passed: number; failed: number }): number {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/**
 * `deno task test` and, with `--full`, `deno task test:full`: installs a WebGPU adapter and curl if
 * they are missing, runs the tests, and prints `N passed, N failed` as the last line. Other
 * arguments go to `deno test`: `deno task test tests/docs_test.ts` runs one file.
 */

import { JOBS, OTHER_SUITES, runSuite, TEST_FLAGS } from "./runner/batches.ts";
import { ensureAdapter, ensureCurl } from "./runner/packages.ts";
import { type Counts, slowestFiles, summaryCounts } from "./runner/results.ts";
import { QUICK_VARIABLE } from "./support/quick.ts";

const SLOWEST = 10;

// Without this, Deno may fall back to an OpenGL software renderer, which uses one core and is ten
// times slower than Debian's Vulkan one.
if (Deno.build.os === "linux") {
  Deno.env.set("DENO_WEBGPU_BACKEND", Deno.env.get("DENO_WEBGPU_BACKEND") || "vulkan");
}
Deno.env.set("XDG_RUNTIME_DIR", Deno.env.get("XDG_RUNTIME_DIR") || "/tmp");

const args = Deno.args.filter((arg) => arg !== "--full");
const full = args.length < Deno.args.length;
await ensureCurl();
if (!await ensureAdapter()) Deno.exit(report({ passed: 0, failed: 1 }));
Deno.exit(report(args.length > 0 ? await runNamed(args) : await runAll(full)));

async function runAll(full: boolean): Promise<Counts> {
  const start = performance.now();
  const { files, ...counts } = await runSuite({ [QUICK_VARIABLE]: full ? "" : "1" });
  console.log(`\nThe slowest of ${files.length} files:`);
  for (const line of slowestFiles(files, SLOWEST)) console.log(line);
  for (const { file, failed } of files.filter(({ failed }) => failed > 0)) {
    console.log(`\n${failed} failed in ${file.replace("./", "")}: see above`);
  }
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(`\n${full ? "All" : "Quick"} tests, ${seconds} s with ${JOBS} processes`);
  if (!full) console.log("`deno task test:full` runs the slow ones too");
  return counts;
}

/** Runs the named files in one process and streams its output. */
async function runNamed(args: readonly string[]): Promise<Counts> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", ...TEST_FLAGS, `--ignore=${OTHER_SUITES}`, ...args],
    cwd: new URL("..", import.meta.url),
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let tail = "";
  for await (const bytes of child.stdout) {
    await Deno.stdout.write(bytes);
    tail = (tail + decoder.decode(bytes, { stream: true })).slice(-2000);
  }
  const { success } = await child.status;
  const { passed, failed } = summaryCounts(tail) ?? { passed: 0, failed: 0 };
  return { passed, failed: success ? failed : Math.max(1, failed) };
}

/** Prints the last line; returns the exit status. */
function report({ passed, failed }: Counts): number {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

import assert from "node:assert/strict";
import type { ColdStartReport } from "../../../src/cli/bench/cold.ts";
import { slowTest } from "../../support/quick.ts";
import { ROOT } from "./run_cli.ts";
import { rwkv } from "./shared_cli.ts";

async function benchCold(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-P=bench", "src/cli/main.ts", "bench", "--cold", "--rounds", "1", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

for (const device of ["cpu", "webgpu"]) {
  (device === "cpu" ? Deno.test : slowTest)(
    `bench --cold reports the startup phases on ${device} in order`,
    async () => {
      const { code, out, err } = await benchCold("--device", device, "--no-tune", "--json");
      assert.equal(code, 0, err);
      const report: ColdStartReport = JSON.parse(out);
      const { listening_ms, ready_ms, first_token_ms, loading_ms, load } = report;
      assert.deepEqual([report.model, report.device, report.quant], ["demo", device, "f16"]);
      assert.ok(0 < listening_ms.median && listening_ms.median < ready_ms.median, out);
      assert.ok(ready_ms.median < first_token_ms.median, out);
      const parts = ["model", "device", "weights", ...(device === "cpu" ? [] : ["kernels"])];
      assert.deepEqual(Object.keys(loading_ms), parts);
      const { model, device: opened, weights } = loading_ms;
      assert.ok(model!.median + opened!.median + weights!.median <= ready_ms.median, out);
      if (device === "cpu") return assert.equal(load, undefined);
      const { bytes, weights_gb_s, read_gb_s, upload_gb_s, share } = load!;
      assert.ok(bytes > 5e6);
      const slower = Math.min(read_gb_s.median, upload_gb_s.median);
      assert.ok(Math.abs(share.median - weights_gb_s.median / slower) < 0.002 * share.median, out);
    },
  );
}

Deno.test("bench --cold prints the log of a worker that fails to start, and leaves no files", async () => {
  const before = leftovers();
  const { code, err } = await benchCold("--model", "models/demo", "--vocab", "README.md");
  assert.equal(code, 1);
  assert.match(err, /^error: Cannot measure startup: the worker exited:\n[^]*README\.md/);
  assert.deepEqual(leftovers(), before);
});

Deno.test("bench --cold requires permission to start processes and names the task that has it", async () => {
  const { code, stderr } = await rwkv(["bench", "--cold"]);
  assert.equal(code, 2);
  assert.match(stderr, /--cold: this task may not start processes; use deno task bench --cold/);
});

function leftovers(): string[] {
  const names = [...Deno.readDirSync(`${ROOT}data`)].map(({ name }) => name);
  return names.filter((name) => name.startsWith("cold-start-"));
}

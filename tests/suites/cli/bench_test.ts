import assert from "node:assert/strict";
import { type Spread, summarize } from "../../../src/benchmark/cases.ts";
import { slowTest } from "../../support/quick.ts";
import { rwkv } from "./shared_cli.ts";

const TINY = ["--batch", "1,3", "--prompt", "5,300", "--tokens", "2", "--rounds", "2", "--json"];

function assertSpread({ median, min, max }: Spread): void {
  assert.ok(min > 0 && min <= median && median <= max, JSON.stringify({ median, min, max }));
}

for (const device of ["cpu", "webgpu"]) {
  (device === "webgpu" ? Deno.test : slowTest)(
    `bench measures the demo model on ${device} and prints one JSON document`,
    async () => {
      const info = JSON.parse((await rwkv(["info", "--device", device, "--json"])).stdout);
      const { code, stdout, stderr } = await rwkv(["bench", "--device", device, ...TINY]);
      assert.equal(code, 0, stderr);
      const report = JSON.parse(stdout);
      assert.deepEqual(Object.keys(report), [
        "model",
        "device",
        "adapter",
        "software",
        "quant",
        "commit",
        "roofs",
        "load_s",
        "decode",
        "prefill",
        "state",
      ]);
      assert.deepEqual([report.model, report.device, report.quant], ["demo", device, "f16"]);
      // Only `deno task bench` has the permission to run git.
      assert.equal(report.commit, null);
      assert.ok(report.load_s > 0);
      assert.deepEqual(report.decode.map(({ batch }: { batch: number }) => batch), [1, 3]);
      for (const { tokens_per_second } of report.decode) assertSpread(tokens_per_second);
      assert.deepEqual(report.prefill.map(({ tokens }: { tokens: number }) => tokens), [5, 300]);
      for (const { tokens, tokens_per_second, seconds_to_first_token } of report.prefill) {
        assertSpread(tokens_per_second);
        assertSpread(seconds_to_first_token);
        assert.ok(seconds_to_first_token.max >= 0.99 * tokens / tokens_per_second.min);
      }
      assert.equal(report.state.bytes, info.state_bytes);
      assertSpread(report.state.read_ms);
      assertSpread(report.state.write_ms);

      const [{ share_of_read }, three] = report.decode;
      const shares = report.prefill.map(({ share_of_fma }: { share_of_fma?: number }) =>
        share_of_fma
      );
      assert.ok(!("share_of_read" in three));
      if (device === "cpu") {
        assert.equal(report.roofs, null);
        assert.deepEqual([share_of_read, ...shares], [undefined, undefined, undefined]);
        return;
      }
      const { read_gb_s, fma_gflop_s } = report.roofs;
      assert.ok(read_gb_s > 0 && fma_gflop_s > 0, stdout);
      for (const share of shares) assert.ok(share > 0);
      // A token reads all weights except the embedding.
      const embedding = info.matrices.find(({ name }: { name: string }) => name === "emb.weight");
      const bytes = info.memory.weights - embedding.bytes;
      const expected = bytes * report.decode[0].tokens_per_second.median / 1e9 / read_gb_s;
      assert.ok(Math.abs(share_of_read / expected - 1) < 0.01, `${share_of_read}, not ${expected}`);
    },
  );
}

Deno.test("bench prints a table by default", async () => {
  const args = ["--device", "cpu", "--batch", "1", "--prompt", "4", "--tokens", "1"];
  const { code, stdout, stderr } = await rwkv(["bench", "--rounds", "1", ...args]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^demo as f16 on plain TypeScript\n/);
  assert.match(stdout, /^ {2}decode, batch 1 +[\d.]+ \([\d.]+ to [\d.]+\) tokens\/s$/m);
  assert.match(stdout, /^ {2}prompt of 4 +[\d.]+ \([\d.]+ to [\d.]+\) tokens\/s$/m);
  assert.doesNotMatch(stdout, /adapter:|undefined|NaN/);
});

slowTest("bench --profile times the kernels of a step and requires an adapter", async () => {
  const args = ["--batch", "2", "--prompt", "4", "--tokens", "1", "--rounds", "1", "--no-tune"];
  const onGpu = ["--device", "webgpu"];
  const { code, stdout, stderr } = await rwkv(["bench", "--profile", "--json", ...onGpu, ...args]);
  assert.equal(code, 0, stderr);
  const info = JSON.parse((await rwkv(["info", ...onGpu, "--json"])).stdout);
  const [{ batch, dispatches_per_step, encode_ms, kernels }, ...others] =
    JSON.parse(stdout).profile;
  assert.deepEqual([batch, others], [2, []]);
  assertSpread(encode_ms);
  const sum = (field: string) =>
    kernels.reduce((total: number, kernel: Record<string, number>) => total + kernel[field], 0);
  assert.equal(sum("dispatches"), dispatches_per_step);
  assert.ok(Math.abs(sum("share") - 1) < 0.01, stdout);
  for (const { ms } of kernels) assertSpread(ms);
  // Every weight except the embedding is read once.
  const moved = kernels
    .filter(({ kernel }: { kernel: string }) => kernel.startsWith("linear"))
    .reduce(
      (bytes: number, { gb_s, ms }: { gb_s: number; ms: Spread }) => bytes + gb_s * ms.median * 1e6,
      0,
    );
  const matrices = info.matrices.filter(({ name }: { name: string }) => name !== "emb.weight");
  const weights = matrices.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0);
  assert.ok(Math.abs(moved / weights - 1) < 0.02, `${moved} of ${weights}`);

  const onCpu = await rwkv(["bench", "--profile", "--device", "cpu", ...args]);
  assert.equal(onCpu.code, 2);
  assert.match(onCpu.stderr, /--profile.*WebGPU adapter/);
});

Deno.test("bench rejects invalid flags with status 2 and names the value", async () => {
  const cases: [string[], RegExp][] = [
    [["--batch", "1,x"], /--batch 1,x: "x" is not a whole number from 1 to 1024/],
    [["--batch", "0"], /--batch 0/],
    [["--batch", ""], /--batch/],
    [["--prompt", "32,"], /--prompt 32,: ""/],
    [["--prompt", "2.5"], /--prompt 2\.5/],
    [["--tokens", "0"], /--tokens 0/],
    [["--rounds", "1.5"], /--rounds 1\.5/],
    [["--shape", "9b"], /--shape 9b/],
    [["--speed"], /--speed/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await rwkv(["bench", ...args]);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stdout, "");
  }
});

Deno.test("summarize returns median, minimum and maximum", () => {
  assert.deepEqual(summarize([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.deepEqual(summarize([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
  assert.deepEqual(summarize([12345.678]), { median: 12350, min: 12350, max: 12350 });
});

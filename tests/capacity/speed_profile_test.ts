import assert from "node:assert/strict";
import { parseProfile, readProfile, stepMs } from "../../capacity/speed_profile.ts";

function report(prefill: { tokens: number; seconds: number }[], device = "webgpu") {
  return {
    model: "m",
    device,
    adapter: "a",
    quant: "f16",
    decode: [{ batch: 8, tokens_per_second: { median: 400 } }, {
      batch: 1,
      tokens_per_second: { median: 100 },
    }],
    prefill: prefill.map(({ tokens, seconds }) => ({
      tokens,
      seconds_to_first_token: { median: seconds },
    })),
    state: { bytes: 1000, read_ms: { median: 10 }, write_ms: { median: 1 } },
  };
}

Deno.test("prefill costs are fitted to the results of bench", () => {
  // 5 ms a step of at most 256 tokens, 0.5 ms a token, and 10 ms to read the result.
  const seconds = (tokens: number) => (10 + 5 * Math.ceil(tokens / 256) + 0.5 * tokens) / 1000;
  const prefill = [32, 512, 2048].map((tokens) => ({ tokens, seconds: seconds(tokens) }));
  const profile = parseProfile(report(prefill), "f.json");
  assert.equal(profile.name, "m as f16 on a");
  assert.ok(Math.abs(profile.read.step - 5) < 1e-6, `${profile.read.step}`);
  assert.ok(Math.abs(profile.read.token - 0.5) < 1e-6, `${profile.read.token}`);
  assert.equal(profile.omitted, false);
});

Deno.test("with one prompt, all time is per-token cost", () => {
  const { read } = parseProfile(report([{ tokens: 100, seconds: 0.11 }], "cpu"), "f.json");
  assert.deepEqual(read, { step: 0, token: 1 });
});

Deno.test("step times are interpolated between measured batch sizes", () => {
  const profile = parseProfile(report([{ tokens: 100, seconds: 0.11 }]), "f.json");
  // 10 ms for batch 1, 20 ms for batch 8.
  const times = [1, 8, 4.5, 15].map((decoding) => stepMs(profile, decoding, 0));
  assert.deepEqual(times.map((time) => Math.round(1000 * time) / 1000), [10, 20, 15, 30]);
  assert.equal(stepMs(profile, 1, 5), 15);
  assert.equal(stepMs(profile, 0, 5), 5);
});

Deno.test("the recorded results are profiles that reproduce their measurements", async () => {
  for (const [name, batch] of [["demo-cpu", 1], ["demo-webgpu", 32]] as const) {
    const file = new URL(`../../bench/results/${name}.json`, import.meta.url).pathname;
    const profile = await readProfile(file);
    const { decode, prefill } = JSON.parse(await Deno.readTextFile(file));
    const [last] = decode.filter((row: { batch: number }) => row.batch === batch);
    const ms = 1000 * batch / last.tokens_per_second.median;
    assert.ok(Math.abs(stepMs(profile, batch, 0) / ms - 1) < 0.01);
    for (const { tokens, seconds_to_first_token: { median } } of prefill) {
      const steps = Math.ceil(tokens / 256);
      const predicted = steps * profile.read.step + tokens * profile.read.token + profile.readBack;
      assert.ok(Math.abs(predicted / 1000 / median - 1) < 0.1, `${name}, ${tokens}: ${predicted}`);
    }
  }
});

Deno.test("a file that bench did not write is rejected with the reason", async () => {
  const { decode: _, ...rest } = report([{ tokens: 100, seconds: 0.11 }]);
  assert.throws(() => parseProfile(rest, "f.json"), {
    code: "usage",
    message: /^Cannot use --profile f\.json: decode: .*; `rwkv bench --json` writes one$/,
  });
  await assert.rejects(readProfile("/nowhere.json"), { code: "usage", message: /\/nowhere\.json/ });
});

import assert from "node:assert/strict";
import { parseTuning } from "../../src/cli/tuning_file.ts";
import { rwkv } from "./run_cli.ts";

const BENCH = ["bench", "--device", "webgpu", "--batch", "1", "--prompt", "4", "--tokens", "1"];

async function bench(cwd: string, ...more: string[]): Promise<void> {
  const { code, stderr } = await rwkv([...BENCH, "--rounds", "1", ...more], "", { cwd });
  assert.equal(code, 0, stderr);
}

Deno.test("kernels are tuned once for an adapter, and what is found is kept", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await bench(folder, "--no-tune");
    assert.deepEqual([...Deno.readDirSync(folder)], []);

    await bench(folder);
    const files = [...Deno.readDirSync(`${folder}/data/tuning`)].map(({ name }) => name);
    assert.equal(files.length, 1, `${files}`);
    assert.match(files[0], /-rwkv5\.2-192-\d+-f16-256\.json$/);
    const path = `${folder}/data/tuning/${files[0]}`;
    const kept = await Deno.readTextFile(path);
    const { adapter, choices, stepTokens } = JSON.parse(kept);
    assert.ok(adapter && choices.length > 2 && stepTokens >= 32, kept);

    // Found before: not searched for again.
    const marked = JSON.stringify({ ...JSON.parse(kept), stepTokens: 48 });
    await Deno.writeTextFile(path, marked);
    await bench(folder);
    assert.equal(await Deno.readTextFile(path), marked);

    for (const useless of ["{", JSON.stringify({ ...JSON.parse(kept), adapter: "another" })]) {
      await Deno.writeTextFile(path, useless);
      await bench(folder);
      assert.equal(JSON.parse(await Deno.readTextFile(path)).adapter, adapter);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a tile that no adapter can run is no tuning", () => {
  const told = (change: Record<string, number>) => {
    const tile = { rowBlocks: 4, tokens: 8, lanes: 8, threadBlocks: 1, ...change };
    const choices = [{ tokens: 1, tile: null }, { tokens: 8, tile }];
    return parseTuning(JSON.stringify({ version: 1, adapter: "a", choices, stepTokens: 64 }));
  };
  assert.equal(told({})?.choices.length, 2);
  for (const key of ["rowBlocks", "tokens", "lanes", "threadBlocks"]) {
    for (const value of [0, -1, 0.5, 2 ** 20, 2 ** 53]) assert.equal(told({ [key]: value }), null);
  }
});

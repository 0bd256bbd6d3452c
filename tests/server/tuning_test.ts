import assert from "node:assert/strict";
import { parseTuning, TuningCache } from "../../src/server/tuning_cache.ts";
import { DEMO_MODEL } from "../../src/model_files/find_model.ts";
import { openModelSource } from "../../src/model_files/open_model_file.ts";
import { QUICK } from "../support/quick.ts";
import { rwkv } from "../suites/cli/shared_cli.ts";

const TUNING = { choices: [{ tokens: 1, tile: null }], stepTokens: 48 };

Deno.test("tune caches its result, and bench uses it", async () => {
  const folder = await Deno.makeTempDir();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await rwkv([...args, "--device", "webgpu"], "", {
      cwd: folder,
    });
    assert.equal(code, 0, stderr);
    return { stdout, stderr };
  };
  const bench = ["bench", "--batch", "1", "--prompt", "4", "--tokens", "1", "--rounds", "1"];
  try {
    if (!QUICK) await run(...bench);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "bench does not tune");

    const { adapter, path, choices, stepTokens } = JSON.parse(
      (await run("tune", "--json")).stdout,
    );
    assert.match(path, /^data\/tuning\/.+-rwkv5\.2-192-\d+-f16-256\.json$/);
    const cached = await Deno.readTextFile(`${folder}/${path}`);
    assert.deepEqual(JSON.parse(cached), { version: 1, adapter, choices, stepTokens });
    assert.ok(choices.length > 2 && stepTokens >= 32, cached);
    if (QUICK) return;
    assert.doesNotMatch((await run(...bench)).stderr, /tuning/);

    await Deno.writeTextFile(`${folder}/${path}`, "{");
    const { stderr } = await run(...bench);
    assert.equal(stderr.match(/Ignoring the tuning cache/g)?.length, 1, stderr);
    await run("tune");
    assert.equal(JSON.parse(await Deno.readTextFile(`${folder}/${path}`)).adapter, adapter);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tune requires an adapter", async () => {
  const { code, stderr } = await rwkv(["tune", "--device", "cpu"]);
  assert.equal(code, 1);
  assert.match(stderr, /Cannot tune kernels.*WebGPU only.*requested with --device cpu/);
});

Deno.test("a damaged or foreign cache is reported, a missing one is not", async () => {
  const folder = await Deno.makeTempDir();
  const { model } = await openModelSource(
    { from: { file: `${DEMO_MODEL}/model.safetensors` } },
    "f16",
  );
  await model.close();
  const options = { quant: "f16", maxStepTokens: 64, folder } as const;
  const cache = new TuningCache("NVIDIA L4", model, options);
  const read = async () => {
    const problems: string[] = [];
    const tuning = await cache.read((problem) => problems.push(problem));
    return { tuning: tuning && { ...tuning, adapter: undefined, version: undefined }, problems };
  };
  try {
    assert.deepEqual(await read(), { tuning: null, problems: [] });
    await cache.write(TUNING);
    assert.deepEqual((await read()).tuning?.choices, TUNING.choices);
    await Deno.writeTextFile(cache.path, "{");
    assert.match((await read()).problems.join(), /damaged or of another version/);
    // A cache that was copied from another machine, where the names differ only in punctuation.
    await new TuningCache("nvidia (L4)", model, options).write(TUNING);
    await Deno.rename(new TuningCache("nvidia (L4)", model, options).path, cache.path);
    assert.match((await read()).problems.join(), /adapter nvidia \(L4\), not NVIDIA L4/);
    await Deno.remove(cache.path);
    await Deno.mkdir(cache.path);
    assert.equal((await read()).problems.length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a cache with an invalid tile is rejected", () => {
  const parseTile = (change: Record<string, number>) => {
    const tile = { rowBlocks: 4, tokens: 8, lanes: 8, threadBlocks: 1, ...change };
    const choices = [{ tokens: 1, tile: null }, { tokens: 8, tile }];
    return parseTuning(JSON.stringify({ version: 1, adapter: "a", choices, stepTokens: 64 }));
  };
  assert.equal(parseTile({})?.choices.length, 2);
  for (const key of ["rowBlocks", "tokens", "lanes", "threadBlocks"]) {
    for (const value of [0, -1, 0.5, 2 ** 20, 2 ** 53]) {
      assert.equal(parseTile({ [key]: value }), null);
    }
  }
});

import assert from "node:assert/strict";
import { GpuEngine } from "../../../src/engine/gpu/gpu_engine.ts";
import {
  type LinearChoice,
  linearChoices,
  tileCandidates,
} from "../../../src/engine/gpu/linear_choice.ts";
import { tune } from "../../../src/engine/gpu/tune.ts";
import { MemorySource } from "../../../src/formats/byte_source.ts";
import { openDevice } from "../../../src/gpu/mod.ts";
import { openModel } from "../../../src/model/load.ts";
import { testDevice } from "../../support/adapter.ts";
import { writePth } from "../../formats/pth_fixture.ts";
import { caseCount, QUICK, slowTest } from "../../support/quick.ts";
import { assertSameNumbers } from "../../support/same_numbers.ts";
import { tinyModel } from "../tiny_model.ts";

const SOFTWARE = { software: true, sharedBytes: 16384 };
const GPU = { software: false, sharedBytes: 16384 };

Deno.test("tuning finds a tile for every number of tokens, and a step length", async () => {
  const open = await testDevice();
  for (const type of QUICK ? ["f16"] as const : ["f16", "int8"] as const) {
    const tuning = await tune(open, {
      matrices: [{ rows: caseCount(300, 40), columns: 256 }, { rows: 64, columns: 1000 }],
      type,
      maxStepTokens: 128,
    });
    const device = { ...GPU, software: open.software };
    const all = tileCandidates(1000, device);
    assert.deepEqual(tuning!.choices.map(({ tokens }) => tokens), all.map(({ tokens }) => tokens));
    for (const [i, { tile }] of tuning!.choices.entries()) {
      assert.ok(all[i].tiles.some((one) => JSON.stringify(one) === JSON.stringify(tile)));
    }
    assert.ok([32, 64, 128].includes(tuning!.stepTokens), `${tuning!.stepTokens}`);
  }
});

Deno.test("tuned tiles are chosen if they fit into workgroup memory", () => {
  const tunedTile = tileCandidates(1024, GPU)[0].tiles.at(-1)!;
  const tuned: LinearChoice[] = [{ tokens: 1, tile: tunedTile }, { tokens: 1e9, tile: null }];
  assert.deepEqual(linearChoices({ columns: 1024, maxTokens: 1 }, GPU, tuned), [
    { tokens: 1, tile: tunedTile },
  ]);
  const [wide] = linearChoices({ columns: 65536, maxTokens: 1 }, GPU, tuned);
  assert.notDeepEqual(wide.tile, tunedTile);
  for (const device of [GPU, SOFTWARE]) {
    const fixed = linearChoices({ columns: 1024, maxTokens: 512 }, device);
    assert.deepEqual(fixed, linearChoices({ columns: 1024, maxTokens: 512 }, device, fixed));
    assert.ok(fixed.at(-1)!.tokens >= 512);
  }
});

slowTest("tuned engines return bit-identical logits", async () => {
  const file = writePth(tinyModel({
    version: "5.2",
    layers: 2,
    heads: 18,
    headSize: 8,
    ffnWidth: 300,
    vocabulary: 90,
    dtype: "F16",
  }));
  const tokens = Array.from({ length: 23 }, (_, i) => (7 * i) % 90);
  const logits = async (tuned?: LinearChoice[]) => {
    const open = await openDevice(navigator.gpu);
    const engine = await GpuEngine.create(
      open!,
      await openModel(new MemorySource("tiny", file)),
      { quant: "f16", slots: 1, maxStepTokens: 32, tuned },
    );
    const [all] = await engine.step([{ slot: 0, tokens, logits: "all" }]);
    const [next] = await engine.step([{ slot: 0, tokens: [1], logits: "last" }]);
    await engine.close();
    return Float32Array.of(...all, ...next);
  };
  const fixed = await logits();
  const { software } = await testDevice();
  const last = tileCandidates(144, { software, sharedBytes: 16384 })
    .map(({ tokens, tiles }) => ({ tokens, tile: tiles.at(-1)! }));
  const onGpu = tileCandidates(144, GPU).map(({ tokens, tiles }) => ({
    tokens,
    tile: tiles.at(-1)!,
  }));
  for (const tuned of [last, onGpu]) assertSameNumbers(await logits(tuned), fixed);
});

import assert from "node:assert/strict";
import { DEMO_MODEL, findModel } from "../../../src/model_files/find_model.ts";
import { openEngine } from "../../../src/server/open_engine.ts";

Deno.test("decoding a token takes at most six dispatches per layer plus eight", async () => {
  const { source } = await findModel({ model: DEMO_MODEL });
  const engine = await openEngine({
    source,
    device: "webgpu",
    quant: "f16",
    slots: 1,
    maxStepTokens: 128,
  });
  const { prototype } = GPUComputePassEncoder;
  const { dispatchWorkgroups } = prototype;
  let dispatches = 0;
  prototype.dispatchWorkgroups = function (...grid) {
    dispatches++;
    return dispatchWorkgroups.apply(this, grid);
  };
  try {
    await engine.step([{ slot: 0, tokens: [1], logits: "last" }]);
  } finally {
    prototype.dispatchWorkgroups = dispatchWorkgroups;
    await engine.close();
  }
  const { layers } = engine.info.dimensions;
  assert.ok(dispatches > layers, `${dispatches} dispatches`);
  assert.ok(dispatches <= 6 * layers + 8, `${dispatches} dispatches for ${layers} layers`);
});

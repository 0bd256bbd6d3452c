import assert from "node:assert/strict";
import { openFile } from "../../../src/model_files/file_source.ts";
import { prefill } from "../../../src/engine/prefill.ts";
import { GpuEngine } from "../../../src/engine/gpu/gpu_engine.ts";
import { REQUIRED_LIMITS } from "../../../src/gpu/mod.ts";
import { openModel } from "../../../src/model/load.ts";
import { assertClose } from "../../support/close.ts";
import { GOLDEN, readGolden } from "../../support/golden_data.ts";
import { QUICK } from "../../support/quick.ts";

Deno.test("the kernels of both tile tables run on a device with exactly the required limits", async () => {
  const { tokens, logits } = await readGolden("rwkv5-bf16");
  // The table for hardware adapters has the highest requirements.
  for (const software of QUICK ? [false] : [true, false]) {
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter!.requestDevice({ requiredLimits: REQUIRED_LIMITS });
    for (const [name, value] of Object.entries(REQUIRED_LIMITS)) {
      assert.equal(device.limits[name as keyof typeof REQUIRED_LIMITS], value, name);
    }
    const model = await openModel(await openFile(`${GOLDEN}rwkv5-bf16/model.pth`));
    const open = { device, adapter: "default limits", software };
    const sizes = { quant: "f16", slots: 1, maxStepTokens: 64 } as const;
    const engine = await GpuEngine.create(open, model, sizes);
    try {
      const last = await prefill(engine, tokens, { slot: 0, logits: "last" });
      assertClose(last, logits.subarray(-last.length), { atol: 3e-2, what: "logits" });
    } finally {
      await engine.close();
      await model.close();
    }
  }
});

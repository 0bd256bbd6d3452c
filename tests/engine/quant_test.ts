import { DEMO_MODEL } from "../../src/cli/model_files.ts";
import { openFile } from "../../src/cli/file_source.ts";
import { CpuEngine } from "../../src/engine/cpu_engine.ts";
import { feed } from "../../src/engine/feed.ts";
import { GpuEngine } from "../../src/engine/gpu_engine.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { type Model, openModel } from "../../src/model/load.ts";
import { testDevice } from "../adapter.ts";
import { assertClose } from "../close.ts";
import { writePth } from "../formats/pth_fixture.ts";
import { GOLDEN } from "../golden_data.ts";
import { ODD_SIZES, tinyModel } from "./tiny_model.ts";

const odd = writePth(tinyModel({ ...ODD_SIZES, dtype: "F16" }));

const MODELS: Record<string, () => Promise<Model>> = {
  "a golden checkpoint": async () => openModel(await openFile(`${GOLDEN}rwkv5-bf16/model.pth`)),
  "the demo model": async () => openModel(await openFile(`${DEMO_MODEL}/model.safetensors`)),
  "odd sizes": () => openModel(new MemorySource("odd", odd)),
};

for (const [name, open] of Object.entries(MODELS)) {
  for (const quant of ["int8", "nf4"] as const) {
    Deno.test(`engines agree on ${quant} weights: ${name}`, async () => {
      const options = { quant, slots: 1, maxStepTokens: 32 };
      const device = await testDevice();
      // Parts of a few rows each, so that codes and scales are split as well.
      const maxPartBytes = name === "odd sizes" ? 2000 : undefined;
      const gpu = await GpuEngine.create(device, await open(), { ...options, maxPartBytes });
      const cpu = await CpuEngine.create(await open(), options);
      const { vocabulary } = cpu.info.dimensions;
      const tokens = Array.from({ length: 41 }, (_, i) => (i * 37 + 1) % vocabulary);
      const wanted = await feed(cpu, tokens, { slot: 0, logits: "all" });
      const largest = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      for (const chunk of [1, 32]) {
        await gpu.writeState(0, null);
        const got = await feed(gpu, tokens, { slot: 0, logits: "all", chunk });
        assertClose(got, wanted, { atol: 2e-4 * largest, what: `logits, chunk ${chunk}` });
      }
    });
  }
}

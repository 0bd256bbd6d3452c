import { DEMO_MODEL } from "../../src/model_files/find_model.ts";
import { openFile } from "../../src/model_files/file_source.ts";
import { CpuEngine } from "../../src/engine/cpu/cpu_engine.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { GpuEngine } from "../../src/engine/gpu/gpu_engine.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { type Model, openModel } from "../../src/model/load.ts";
import { testDevice } from "../support/adapter.ts";
import { assertClose } from "../support/close.ts";
import { writePth } from "../formats/pth_fixture.ts";
import { GOLDEN } from "../support/golden_data.ts";
import { caseCount, QUICK } from "../support/quick.ts";
import { ODD_SIZES, tinyModel } from "./tiny_model.ts";

const odd = writePth(tinyModel({ ...ODD_SIZES, dtype: "F16" }));

/** Kernels for few tokens compile faster. */
const maxStepTokens = caseCount(32, 8);

interface Case {
  open: () => Promise<Model>;
  /** Bytes of a few rows, so that codes and scales are split into parts. */
  maxPartBytes?: number | undefined;
}

const MODELS: Record<string, Case> = {
  "a golden checkpoint": {
    open: async () => openModel(await openFile(`${GOLDEN}rwkv5-bf16/model.pth`)),
  },
  "the demo model": {
    open: async () => openModel(await openFile(`${DEMO_MODEL}/model.safetensors`)),
  },
  "odd sizes": {
    open: () => openModel(new MemorySource("odd", odd)),
    // Each part compiles different kernels.
    maxPartBytes: QUICK ? undefined : 2000,
  },
};

for (const [name, { open, maxPartBytes }] of Object.entries(MODELS)) {
  if (QUICK && name !== "odd sizes") continue;
  for (const quant of ["int8", "nf4"] as const) {
    Deno.test(`engines agree on ${quant} weights: ${name}`, async () => {
      const options = { quant, slots: 1, maxStepTokens };
      const device = await testDevice();
      const gpu = await GpuEngine.create(device, await open(), { ...options, maxPartBytes });
      const cpu = await CpuEngine.create(await open(), options);
      const { vocabulary } = cpu.info.dimensions;
      const tokens = Array.from({ length: 41 }, (_, i) => (i * 37 + 1) % vocabulary);
      const expected = await prefill(cpu, tokens, { slot: 0, logits: "all" });
      const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      // With larger chunks, too, the last chunk has one token.
      for (const chunk of QUICK ? [maxStepTokens] : [1, maxStepTokens]) {
        await gpu.writeState(0, null);
        const actual = await prefill(gpu, tokens, { slot: 0, logits: "all", chunk });
        assertClose(actual, expected, { atol: 2e-4 * largest, what: `logits, chunk ${chunk}` });
      }
    });
  }
}

import { openEngine } from "../../src/server/open_engine.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { assertClose } from "../support/close.ts";
import { GOLDEN, readGolden } from "../support/golden_data.ts";
import { QUICK } from "../support/quick.ts";

/** The cases on WebGPU, where each checkpoint and each chunk size compiles different kernels. */
const QUICK_CASES = ["rwkv5-bf16 as f16", "rwkv5.0-bf16 as none"];

const LOGITS_ATOL = { none: 2e-4, f16: 3e-2 };

for (const name of ["rwkv5-bf16", "rwkv5-f32-n32", "rwkv5.0-bf16"]) {
  for (const device of ["webgpu", "cpu"] as const) {
    for (const quant of ["none", "f16"] as const) {
      if (QUICK && device === "webgpu" && !QUICK_CASES.includes(`${name} as ${quant}`)) continue;
      Deno.test(`${name} matches its golden data on ${device}, ${quant}`, async (t) => {
        const expected = await readGolden(name);
        const engine = await openEngine({
          source: { from: { file: `${GOLDEN}${name}/model.pth` } },
          device,
          quant,
          slots: 3,
          maxStepTokens: 128,
        });
        try {
          for (const chunk of [1, 7, 16, expected.tokens.length]) {
            if (QUICK && device === "webgpu" && chunk > 7) continue;
            await t.step(`chunk ${chunk}`, async () => {
              await engine.writeState(1, null);
              const logits = await prefill(engine, expected.tokens, {
                slot: 1,
                logits: "all",
                chunk,
              });
              assertClose(logits, expected.logits, { atol: LOGITS_ATOL[quant], what: "logits" });
              const state = await engine.readState(1);
              const atol = quant === "none" ? 1e-3 : 3e-2;
              assertClose(state, expected.state, { atol, what: "state" });
            });
          }
        } finally {
          await engine.close();
        }
      });
    }
  }
}

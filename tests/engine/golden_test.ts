import { openEngine } from "../../src/cli/open_engine.ts";
import { openFile } from "../../src/cli/file_source.ts";
import { feed } from "../../src/engine/feed.ts";
import { openCheckpoint } from "../../src/formats/checkpoint.ts";
import { assertClose } from "../close.ts";

const GOLDEN = new URL("../golden/", import.meta.url).pathname;
const LOGITS_ATOL = { none: 2e-4, f16: 3e-2 };

for (const name of ["rwkv5-bf16", "rwkv5-f32-n32", "rwkv5.0-bf16"]) {
  for (const device of ["webgpu", "cpu"] as const) {
    for (const quant of ["none", "f16"] as const) {
      Deno.test(`${name} agrees with its goldens on ${device}, ${quant}`, async (t) => {
        const expected = await readExpected(`${GOLDEN}${name}/expected.safetensors`);
        const engine = await openEngine({
          file: `${GOLDEN}${name}/model.pth`,
          device,
          quant,
          slots: 3,
          maxStepTokens: 128,
        });
        try {
          for (const chunk of [1, 7, 16, expected.tokens.length]) {
            await t.step(`chunk ${chunk}`, async () => {
              await engine.writeState(1, null);
              const logits = await feed(engine, expected.tokens, { slot: 1, logits: "all", chunk });
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

async function readExpected(path: string) {
  const file = await openCheckpoint(await openFile(path));
  const bytes = await file.readRaw("tokens", 0, file.tensors.get("tokens")!.byteLength);
  const tokens = [...new Int32Array(bytes.slice().buffer)];
  const [logits, state] = [await file.read("logits"), await file.read("state")];
  await file.close();
  return { tokens, logits, state };
}

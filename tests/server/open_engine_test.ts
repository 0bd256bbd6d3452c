import assert from "node:assert/strict";
import { openEngine } from "../../src/server/open_engine.ts";
import { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";
import { GOLDEN } from "../support/golden_data.ts";

Deno.test("a vocabulary with more ids than the model is rejected before weights are read", async () => {
  const vocabulary = (size: number) => {
    const tokens = new Map(Array.from({ length: size }, (_, id) => [id, Uint8Array.of(id)]));
    return tokenTable(new Tokenizer({ name: "a vocabulary", tokens, endOfText: null }));
  };
  const open = (size: number) =>
    openEngine({
      source: { from: { file: `${GOLDEN}rwkv5-bf16/model.pth` } },
      device: "cpu",
      quant: "none",
      slots: 1,
      maxStepTokens: 4,
      tokens: vocabulary(size),
    });
  const engine = await open(1);
  const { vocabulary: ids } = engine.info.dimensions;
  await engine.close();
  await (await open(ids)).close();
  await assert.rejects(open(ids + 1), {
    code: "invalid_vocabulary",
    message: new RegExp(`it has ids up to ${ids}, but the model has only ${ids};`),
  });
});

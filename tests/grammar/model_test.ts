/** The demo model with random schemas: complete replies are valid, incomplete ones reached the limit. */

import assert from "node:assert/strict";
import { findModel, openModelTokenizer } from "../../src/model_files/find_model.ts";
import { openEngine } from "../../src/server/open_engine.ts";
import { NEUTRAL_SAMPLING } from "../../src/core/sampling.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { Generation, GenerationRequest } from "../../src/scheduler/scheduler_types.ts";
import { REPLY_START, TURN_END } from "../../src/prompt/chat_template.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";
import { slowTest } from "../support/quick.ts";
import { ofSchema, schemaValidator } from "./fixtures.ts";
import { randomSchema } from "./random_schemas.ts";

const SCHEMAS = Array.from({ length: 300 }, (_, i) => randomSchema(1000 + i, 1));
const MAX_TOKENS = 24;

const files = await findModel({});
const tokenizer = await openModelTokenizer(files);

async function textOf(generation: Generation) {
  const tokens: number[] = [];
  for await (const batch of generation) tokens.push(...batch.tokens);
  const { reason } = await generation.finished;
  const text = new TextDecoder().decode(tokenizer.decode(tokens));
  return { reason, tokens: tokens.length, text: text.split(TURN_END)[0] };
}

slowTest("replies of the demo model to 300 schemas are valid or reach the limit", async () => {
  const engine = await openEngine({
    source: files.source,
    device: "cpu",
    quant: "none",
    slots: 16,
    maxStepTokens: 64,
    tokens: tokenTable(tokenizer),
    endOfText: tokenizer.endOfText,
  });
  const scheduler = new Scheduler(engine, { maxQueue: 1000 });
  const prompt = tokenizer.encode(`User: Tell me about you.${TURN_END}${REPLY_START}`);
  const works = [0, 1].flatMap((temperature) =>
    SCHEMAS.map((schema, i): GenerationRequest => ({
      state: null,
      tokens: prompt,
      sampling: { ...NEUTRAL_SAMPLING, temperature, seed: BigInt(i) },
      counts: new Map(),
      position: 0,
      maxTokens: MAX_TOKENS,
      endToken: tokenizer.endOfText,
      stops: {
        strings: [new TextEncoder().encode(TURN_END)],
        precedingBytes: new Uint8Array(),
        unsearchedBytes: 0,
      },
      constraint: ofSchema(schema),
    }))
  );
  const replies = await Promise.all(scheduler.submitAll(works).map(textOf));
  const validators = SCHEMAS.map(schemaValidator);
  let finished = 0;
  replies.forEach(({ reason, tokens, text }, i) => {
    const at = i % SCHEMAS.length;
    if (reason === "stop") {
      finished++;
      assert.ok(validators[at](text), `${JSON.stringify(SCHEMAS[at])}\n${text}`);
    } else {
      assert.deepEqual([reason, tokens], ["length", MAX_TOKENS]);
    }
  });
  assert.ok(finished > 0.5 * replies.length, `${finished} of ${replies.length} were finished`);
  await engine.close();
});

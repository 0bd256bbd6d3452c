/** A tiny model behind a scheduler, and turns for it. */

import { CpuEngine } from "../../src/engine/cpu/cpu_engine.ts";
import type { Engine, SamplingEngine } from "../../src/engine/engine.ts";
import { MemorySource } from "../../src/formats/byte_source.ts";
import { openModel } from "../../src/model/load.ts";
import { CpuSamplingEngine } from "../../src/scheduler/cpu_sampling.ts";
import type { Scheduler } from "../../src/scheduler/scheduler.ts";
import type {
  Generation,
  GenerationRequest,
  StateSource,
} from "../../src/scheduler/scheduler_types.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";
import { tinyModel } from "../engine/tiny_model.ts";
import { writePth } from "../formats/pth_fixture.ts";

const FILE = writePth(tinyModel({
  version: "5.2",
  layers: 2,
  heads: 2,
  headSize: 8,
  ffnWidth: 40,
  vocabulary: 50,
  dtype: "F32",
}));

export async function cpuEngine(slots: number): Promise<Engine> {
  const model = await openModel(new MemorySource("tiny", FILE));
  return await CpuEngine.create(model, { quant: "none", slots, maxStepTokens: 16 });
}

export const TOKENS = tokenTable({
  size: 50,
  endOfText: 0,
  tokenBytes: (id) => new TextEncoder().encode(`<${id}>`),
});

export async function engine(slots = 3): Promise<SamplingEngine> {
  return new CpuSamplingEngine(await cpuEngine(slots), TOKENS);
}

export function turnRequest(
  tokens: number[],
  overrides: Partial<GenerationRequest> = {},
): GenerationRequest {
  return {
    state: null,
    tokens,
    sampling: {
      temperature: 1,
      topP: 1,
      topK: 0,
      presencePenalty: 0.2,
      frequencyPenalty: 0.1,
      penaltyDecay: 0.99,
      logitBias: new Map(),
      seed: 7n,
    },
    counts: new Map(),
    position: 0,
    maxTokens: 12,
    endToken: null,
    stops: null,
    ...overrides,
  };
}

/** Returns a source of a stored state. */
export function storedState(state: Float32Array | null, key: string | null = null): StateSource {
  return { stateKey: key, load: () => Promise.resolve(state!) };
}

export function run(scheduler: Scheduler, turn: GenerationRequest) {
  return collect(scheduler.submit(turn));
}

export async function collect(generation: Generation) {
  const tokens: number[] = [];
  for await (const batch of generation) tokens.push(...batch.tokens);
  return { tokens, ...await generation.finished };
}

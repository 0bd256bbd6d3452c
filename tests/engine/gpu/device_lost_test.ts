import assert from "node:assert/strict";
import { NEUTRAL_SAMPLING } from "../../../src/core/sampling.ts";
import { InferenceError } from "../../../src/core/errors.ts";
import { GpuEngine } from "../../../src/engine/gpu/gpu_engine.ts";
import { MemorySource } from "../../../src/formats/byte_source.ts";
import { openDevice } from "../../../src/gpu/mod.ts";
import { openModel } from "../../../src/model/load.ts";
import { Scheduler } from "../../../src/scheduler/scheduler.ts";
import { writePth } from "../../formats/pth_fixture.ts";
import { ODD_SIZES, tinyModel } from "../tiny_model.ts";

const FILE = writePth(tinyModel(ODD_SIZES));

async function open() {
  const device = await openDevice(navigator.gpu);
  const engine = await GpuEngine.create(
    device!,
    await openModel(new MemorySource("tiny", FILE)),
    { quant: "none", slots: 4, maxStepTokens: 4 },
  );
  return { engine, device: device!.device };
}

function isLost(error: unknown): boolean {
  return error instanceof InferenceError && error.code === "device_lost";
}

/** Starts a turn; returns promises for its first token and its end. */
function start(scheduler: Scheduler, maxTokens: number) {
  const generation = scheduler.submit({
    state: null,
    tokens: [1, 2, 3],
    sampling: { ...NEUTRAL_SAMPLING, seed: 1n },
    counts: new Map(),
    position: 0,
    maxTokens,
    endToken: null,
    stops: null,
  });
  const started = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const _ of generation) started.resolve();
    return await generation.finished;
  })();
  ended.catch(() => {});
  return { started: started.promise, ended };
}

Deno.test("a device lost during windows ends all turns, and later ones, with device_lost", async () => {
  const { engine, device } = await open();
  const scheduler = new Scheduler(engine);
  const turns = Array.from({ length: 6 }, () => start(scheduler, 1e6));
  await Promise.all(turns.slice(0, 4).map(({ started }) => started));
  device.destroy();
  for (const { ended } of turns) await assert.rejects(ended, isLost);
  await assert.rejects(start(scheduler, 5).ended, isLost);
  const { running, waiting } = scheduler.snapshot;
  assert.deepEqual([running, waiting], [0, 0]);
  await scheduler.close();
});

Deno.test("a closed engine rejects calls, but completes earlier ones", async () => {
  const { engine } = await open();
  const pending = engine.step([{ slot: 0, tokens: [1, 2], logits: "last" }]);
  const closing = engine.close();
  assert.equal((await pending)[0].length, ODD_SIZES.vocabulary);
  await closing;
  await assert.rejects(engine.step([{ slot: 0, tokens: [1], logits: "last" }]), isLost);
  await assert.rejects(engine.readState(0), isLost);
  await assert.rejects(engine.writeState(0, null), isLost);
});

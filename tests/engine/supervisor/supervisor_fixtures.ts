/**
 * A supervised engine on faulty devices, with a scheduler; and the results of turns without faults.
 */

import { NEUTRAL_SAMPLING } from "../../../src/core/sampling.ts";
import type { FaultKind } from "../../../src/core/errors.ts";
import { GpuEngine } from "../../../src/engine/gpu/gpu_engine.ts";
import { EngineSupervisor } from "../../../src/engine/supervisor/engine_supervisor.ts";
import type { SupervisorLimits } from "../../../src/engine/supervisor/engine_recovery.ts";
import { MemorySource } from "../../../src/formats/byte_source.ts";
import { openDevice } from "../../../src/gpu/mod.ts";
import { openModel } from "../../../src/model/load.ts";
import { Scheduler } from "../../../src/scheduler/scheduler.ts";
import type { GenerationRequest } from "../../../src/scheduler/scheduler_types.ts";
import { FakeTimers } from "../../support/faults/fake_timers.ts";
import { faultyGpu, GpuFaults } from "../../support/faults/faulty_gpu.ts";
import { writePth } from "../../formats/pth_fixture.ts";
import { ODD_SIZES, tinyModel } from "../tiny_model.ts";

export const SLOTS = 4;

const FILES = [1, 2].map((seed) => writePth(tinyModel(ODD_SIZES, seed)));

export interface SupervisorCase extends AsyncDisposable {
  engine: EngineSupervisor;
  scheduler: Scheduler;
  faults: GpuFaults;
  timers: FakeTimers;
  /** Events in order: engine failures, failures of single turns, restarts and the final failure. */
  events: (FaultKind | "rebuilt" | "end" | `turn ${FaultKind}`)[];
  /** Selects the model of the next engine. */
  nextModel: { index: number };
}

export async function supervisorCase(
  limits: Partial<SupervisorLimits> = {},
): Promise<SupervisorCase> {
  const faults = new GpuFaults();
  const timers = new FakeTimers();
  const events: SupervisorCase["events"] = [];
  const nextModel = { index: 0 };
  const gpu = faultyGpu(navigator.gpu, faults);
  const engine = await EngineSupervisor.open({
    timers,
    limits,
    open: async () =>
      await GpuEngine.create(
        (await openDevice(gpu))!,
        await openModel(new MemorySource("tiny", FILES[nextModel.index])),
        // Few tokens per step, so that few kernels are built for each device.
        { quant: "none", slots: SLOTS, maxStepTokens: SLOTS },
      ),
    events: {
      onFault: (kind, _error, what) => events.push(what === "engine" ? kind : `turn ${kind}`),
      onRebuilt: () => events.push("rebuilt"),
      onFailed: () => events.push("end"),
    },
  });
  const scheduler = new Scheduler(engine, { recovery: engine });
  return {
    engine,
    scheduler,
    faults,
    timers,
    events,
    nextModel,
    [Symbol.asyncDispose]: async () => {
      faults.hang = false;
      await scheduler.close();
      await engine.close();
    },
  };
}

export function turnRequest(
  seed: number,
  overrides: Partial<GenerationRequest> = {},
): GenerationRequest {
  return {
    state: null,
    tokens: [1, 2, 3],
    sampling: { ...NEUTRAL_SAMPLING, seed: BigInt(seed) },
    counts: new Map(),
    position: 0,
    maxTokens: 40,
    endToken: null,
    stops: null,
    ...overrides,
  };
}

/** For turns that run until a failure ends them. */
export const UNTIL_FAILURE = { maxTokens: 20_000 };

/** Starts a turn. `begun` resolves with the first tokens, `ended` with all of them. */
export function startTurn(scheduler: Scheduler, work: GenerationRequest) {
  const generation = scheduler.submit(work);
  const started = Promise.withResolvers<void>();
  const ended = (async () => {
    const tokens: number[] = [];
    for await (const batch of generation) {
      tokens.push(...batch.tokens);
      started.resolve();
    }
    return { tokens, state: (await generation.finished).state };
  })();
  ended.catch(() => {});
  return { generation, started: started.promise, ended };
}

let faultless: Promise<SupervisorCase> | undefined;

/** Returns the result of a turn on an engine without faults. */
export async function runWithoutFaults(work: GenerationRequest) {
  faultless ??= supervisorCase();
  return await startTurn((await faultless).scheduler, work).ended;
}

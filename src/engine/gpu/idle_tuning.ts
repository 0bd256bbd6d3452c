/** Tunes an engine's kernels while it has nothing to do, and applies what was found. */

import { InferenceError } from "../../core/errors.ts";
import type { OpenDevice } from "../../gpu/mod.ts";
import type { GpuEngine } from "./gpu_engine.ts";
import { tune, type Tuning, type TuningSizes } from "./tune.ts";

/** Milliseconds without a call after which an engine counts as idle. */
const IDLE_MS = 5000;

export interface IdleTuningOptions {
  /** Opens a second device on the engine's adapter: a failure there leaves the engine alone. */
  openDevice: () => Promise<OpenDevice | null>;
  sizes: TuningSizes;
  /** Resolves after so many milliseconds. */
  sleep: (milliseconds: number) => Promise<void>;
  /** Milliseconds without a call after which the engine counts as idle. */
  idleMs?: number | undefined;
}

/**
 * Waits until `engine` is idle, then tunes, pausing before each measurement for as long as the
 * engine is in use. A request that arrives waits for one measurement at most.
 *
 * @returns `null` if the adapter is gone or has no clock to time with.
 * @throws InferenceError `device_lost` if the engine is closed meanwhile; whatever the second device
 * fails with.
 */
export async function tuneWhenIdle(
  engine: Pick<GpuEngine, "idleMs" | "closed" | "applyTuning">,
  { openDevice, sizes, sleep, idleMs = IDLE_MS }: IdleTuningOptions,
): Promise<Tuning | null> {
  const pause = async () => {
    for (let left; (left = idleMs - engine.idleMs) > 0;) {
      assertOpen(engine);
      await sleep(left);
    }
    assertOpen(engine);
  };
  await pause();
  const open = await openDevice();
  if (!open) return null;
  try {
    const tuning = await tune(open, sizes, { pause });
    if (tuning) await engine.applyTuning(tuning.choices);
    return tuning;
  } finally {
    open.device.destroy();
  }
}

function assertOpen({ closed }: Pick<GpuEngine, "closed">): void {
  if (closed) throw new InferenceError("device_lost", "The engine is closed");
}

/** Tunes an engine's kernels while the engine is idle, and applies the result. */

import { InferenceError } from "../../core/errors.ts";
import type { OpenDevice } from "../../gpu/mod.ts";
import type { GpuEngine } from "./gpu_engine.ts";
import { tune, type Tuning, type TuningSizes } from "./tune.ts";

/** Default milliseconds without a call after which an engine counts as idle. */
const IDLE_MS = 5000;

export interface IdleTuningOptions {
  /**
   * Opens a second device on the engine's adapter, so that a failure does not affect the engine.
   */
  openDevice: () => Promise<OpenDevice | null>;
  sizes: TuningSizes;
  /** Resolves after the given milliseconds. */
  sleep: (milliseconds: number) => Promise<void>;
  /** Milliseconds without a call after which the engine counts as idle. */
  idleMs?: number | undefined;
}

/**
 * Waits until `engine` is idle, then tunes. Pauses before each measurement while the engine is in
 * use, so that a request waits for at most one measurement.
 *
 * @returns `null` if the adapter is gone or does not support timestamp queries.
 * @throws InferenceError `device_lost` if the engine is closed meanwhile, or the failure of the
 * second device.
 */
export async function tuneWhenIdle(
  engine: Pick<GpuEngine, "idleMs" | "closed" | "applyTuning">,
  { openDevice, sizes, sleep, idleMs = IDLE_MS }: IdleTuningOptions,
): Promise<Tuning | null> {
  const pause = async () => {
    for (let remaining; (remaining = idleMs - engine.idleMs) > 0;) {
      assertOpen(engine);
      await sleep(remaining);
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

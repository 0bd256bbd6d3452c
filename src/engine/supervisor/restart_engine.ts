/** Opens a replacement for a failed engine; opening may itself fail or hang. */

import { deferred } from "../../core/deferred.ts";
import { InferenceError } from "../../core/errors.ts";
import type { Timers } from "./call_watchdog.ts";
import type { EngineInfo, OnProgress, SamplingEngine } from "../engine.ts";

/** Opens engines. */
export interface EngineOpener {
  /** Opens the first engine (`before` is `null`), or a replacement for the engine `before`. */
  open(
    before: EngineInfo | null,
    options: { onProgress: OnProgress; signal: AbortSignal },
  ): Promise<SamplingEngine>;
  /** Called while weights are read, at each start. */
  onProgress?: OnProgress | undefined;
}

/**
 * Opens an engine like the previous one.
 *
 * @throws InferenceError `device_lost` if there is no progress for `limit` milliseconds,
 * `model_mismatch` if the new engine differs; otherwise like `open`.
 */
export async function restartEngine(
  { open, onProgress: reportProgress }: EngineOpener,
  before: EngineInfo,
  { timers, limit }: { timers: Timers; limit: number },
): Promise<SamplingEngine> {
  const { promise: timedOut, reject } = deferred<never>();
  const abort = new AbortController();
  const timeOut = () => {
    const message = `The GPU hangs: restarting the engine made no progress for ${limit / 1000} s`;
    reject(new InferenceError("device_lost", message, { fault: "hung" }));
  };
  let stopTimer = timers.after(limit, timeOut);
  const onProgress: OnProgress = (done, total) => {
    stopTimer();
    stopTimer = timers.after(limit, timeOut);
    reportProgress?.(done, total);
  };
  const opening = open(before, { onProgress, signal: abort.signal });
  try {
    const engine = await Promise.race([opening, timedOut]);
    assertSameEngine(engine.info, before);
    return engine;
  } catch (error) {
    abort.abort();
    opening.then((engine) => engine.close()).catch(() => {});
    throw error;
  } finally {
    stopTimer();
  }
}

/** Requires the same model and slots, because states and the scheduler depend on them. */
function assertSameEngine(now: EngineInfo, before: EngineInfo): void {
  const same = now.fingerprint === before.fingerprint && now.slots === before.slots &&
    now.device === before.device;
  if (same) return;
  const text = ({ fingerprint, slots, device }: EngineInfo) =>
    `model ${fingerprint} with ${slots} slots on ${device}`;
  throw new InferenceError(
    "model_mismatch",
    `Cannot restart the engine: it now has ${text(now)} and had ${
      text(before)
    }; restart the worker`,
    { fault: "reload" },
  );
}

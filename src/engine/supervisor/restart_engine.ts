/** Opens an engine in the place of one that has failed, which may fail or hang as well. */

import { deferred } from "../../core/deferred.ts";
import { InferenceError } from "../../core/errors.ts";
import type { Timers } from "./call_watchdog.ts";
import type { EngineInfo, OnProgress, SamplingEngine } from "../engine.ts";

/** Opens engines. */
export interface EngineOpener {
  /** Opens an engine: the first one, or one in the place of that which `before` tells of. */
  open(
    before: EngineInfo | null,
    options: { onProgress: OnProgress; signal: AbortSignal },
  ): Promise<SamplingEngine>;
  /** Told while weights are read, each time. */
  onProgress?: OnProgress | undefined;
}

/**
 * Opens an engine like the one before. Nothing may be heard of it for `limit` milliseconds.
 *
 * @throws InferenceError `device_lost` where that takes longer, `model_mismatch` where it is another
 * one; else as `open` does.
 */
export async function restartEngine(
  { open, onProgress: tell }: EngineOpener,
  before: EngineInfo,
  { timers, limit }: { timers: Timers; limit: number },
): Promise<SamplingEngine> {
  const { promise: silent, reject } = deferred<never>();
  const abort = new AbortController();
  const give = () => {
    const message = `The GPU hangs: nothing was heard for ${
      limit / 1000
    } s of an engine that opens`;
    reject(new InferenceError("device_lost", message, { fault: "hung" }));
  };
  let stop = timers.after(limit, give);
  const onProgress: OnProgress = (done, total) => {
    stop();
    stop = timers.after(limit, give);
    tell?.(done, total);
  };
  const opened = open(before, { onProgress, signal: abort.signal });
  try {
    const engine = await Promise.race([opened, silent]);
    assertAlike(engine.info, before);
    return engine;
  } catch (error) {
    abort.abort();
    opened.then((engine) => engine.close()).catch(() => {});
    throw error;
  } finally {
    stop();
  }
}

/** States must go on as they were, and the scheduler's slots be there. */
function assertAlike(now: EngineInfo, before: EngineInfo): void {
  const same = now.fingerprint === before.fingerprint && now.slots === before.slots &&
    now.device === before.device;
  if (same) return;
  const text = ({ fingerprint, slots, device }: EngineInfo) =>
    `model ${fingerprint} with ${slots} slots on ${device}`;
  throw new InferenceError(
    "model_mismatch",
    `Cannot go on with another engine: it has ${text(now)}, and there was ${text(before)}`,
    { fault: "reload" },
  );
}

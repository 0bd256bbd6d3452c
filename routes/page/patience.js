// Trouble that passes: the worker is starting, busy, or gone for a while. What was asked for is
// asked for again by itself, visibly, until it is stopped.

import { askForKey } from "./key_form.js";
import { hideNotice, waitVisibly } from "./notice.js";
import { ApiError, call } from "./worker_api.js";

/** Seconds to wait at most where the worker does not say. */
const MAX_WAIT = 8;

/**
 * Calls `attempt` until it succeeds, or fails for good.
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {{ signal: AbortSignal, lost?: string }} options
 *   `lost`: what is shown where nothing answers.
 * @returns {Promise<T>}
 */
export async function patiently(attempt, { signal, lost }) {
  for (let tries = 0;; tries++) {
    try {
      const result = await attempt();
      if (tries > 0) hideNotice();
      return result;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) await askForKey(signal);
      else if (error.passes) {
        const seconds = error.retryAfter ?? Math.min(2 ** tries, MAX_WAIT);
        const message = await reasonOf(error, lost);
        await waitVisibly(message, { seconds: Math.max(1, seconds), signal });
      } else throw error;
    }
  }
}

/**
 * @param {ApiError} error
 * @param {string} [lost]
 */
async function reasonOf(error, lost) {
  if (error.status === 0) return lost ?? "The worker cannot be reached.";
  if (error.code === "not_ready") return await startingReason();
  if (error.code === "rate_limit_exceeded") return "This key may use no more for the moment.";
  if (error.status === 429 || error.code === "overloaded") return "The worker is busy.";
  if (error.code === "shutting_down") return "The worker is stopping; another may take over.";
  return error.message;
}

async function startingReason() {
  try {
    const { loaded } = await (await call("/health")).json();
    if (loaded > 0) return `The worker is starting: ${Math.floor(100 * loaded)} % of the model.`;
  } catch {
    // It is only said without a number then.
  }
  return "The worker is starting.";
}

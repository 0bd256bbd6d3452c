// Retries requests that fail for a transient reason: the worker is starting, busy or unreachable.
// The banner shows each wait, and the user can stop it.

import { hideBanner, waitWithCountdown } from "./banner.js";
import { askForKey } from "./key_form.js";
import { ApiError, apiFetch } from "./worker_api.js";

/** The longest delay in seconds, unless the worker sends `retry-after`. */
const MAX_DELAY_S = 8;

/**
 * Calls `attempt` until it succeeds or fails with an error that is not transient.
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {{ signal: AbortSignal, unreachableMessage?: string }} options
 *   `unreachableMessage`: the banner's text while the worker is unreachable.
 * @returns {Promise<T>}
 */
export async function withRetries(attempt, { signal, unreachableMessage }) {
  for (let failures = 0;; failures++) {
    try {
      const result = await attempt();
      if (failures > 0) hideBanner();
      return result;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) await askForKey(signal);
      else if (error.isTransient) {
        const seconds = error.retryAfter ?? Math.min(2 ** failures, MAX_DELAY_S);
        const message = await waitMessage(error, unreachableMessage);
        await waitWithCountdown(message, { seconds: Math.max(1, seconds), signal });
      } else throw error;
    }
  }
}

/**
 * @param {ApiError} error
 * @param {string} [unreachableMessage]
 */
async function waitMessage(error, unreachableMessage) {
  if (error.status === 0) return unreachableMessage ?? "The worker cannot be reached.";
  if (error.code === "not_ready") return await startingMessage();
  if (error.code === "rate_limit_exceeded") return "This key has reached its rate limit.";
  if (error.status === 429 || error.code === "overloaded") return "The worker is busy.";
  if (error.code === "shutting_down") return "The worker is shutting down; another may take over.";
  return error.message;
}

async function startingMessage() {
  try {
    const { loaded } = await (await apiFetch("/health")).json();
    if (loaded > 0) return `The worker is starting: ${Math.floor(100 * loaded)} % of the model.`;
  } catch {
    // The message omits the percentage.
  }
  return "The worker is starting.";
}

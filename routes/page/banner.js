// The banner above the message field: an error or a wait, and the action that the user can take.

import { byId } from "./elements.js";

const banner = byId("banner", HTMLDivElement);
const text = byId("banner-text", HTMLParagraphElement);
const countdown = byId("banner-countdown", HTMLSpanElement);
const action = byId("banner-action", HTMLButtonElement);

/**
 * @param {string} message
 * @param {{ label?: string, onAction?: () => void, waiting?: boolean }} [options]
 */
export function showBanner(message, { label, onAction, waiting = false } = {}) {
  banner.hidden = false;
  banner.className = waiting ? "waiting" : "";
  // An unchanged text is not set again, so that screen readers do not repeat it every second.
  if (text.textContent !== message) text.textContent = message;
  countdown.textContent = "";
  action.hidden = onAction === undefined;
  action.textContent = label ?? "";
  action.onclick = () => {
    if (!waiting) hideBanner();
    onAction?.();
  };
}

export function hideBanner() {
  banner.hidden = true;
  text.textContent = "";
}

/**
 * Waits and shows a countdown. "Try now" ends the wait early.
 * @param {string} message
 * @param {{ seconds: number, signal: AbortSignal }} options
 * @returns {Promise<void>} Rejects when the signal aborts.
 */
export function waitWithCountdown(message, { seconds, signal }) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const deadline = performance.now() + 1000 * seconds;
    const cleanUp = () => {
      clearInterval(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const finish = () => {
      cleanUp();
      resolve();
    };
    const onAbort = () => {
      cleanUp();
      hideBanner();
      reject(signal.reason);
    };
    const tick = () => {
      const left = Math.ceil((deadline - performance.now()) / 1000);
      if (left <= 0) return finish();
      countdown.textContent = `Retrying in ${left} s`;
    };
    showBanner(message, { label: "Try now", onAction: finish, waiting: true });
    const timer = setInterval(tick, 250);
    signal.addEventListener("abort", onAbort);
    tick();
  });
}

// The line above the message: what went wrong, what is waited for, and what can be done.

import { byId } from "./elements.js";

const box = byId("notice", HTMLDivElement);
const text = byId("notice-text", HTMLParagraphElement);
const countdown = byId("notice-countdown", HTMLSpanElement);
const action = byId("notice-action", HTMLButtonElement);

/**
 * @param {string} message
 * @param {{ label?: string, act?: () => void, waiting?: boolean }} [options]
 */
export function showNotice(message, { label, act, waiting = false } = {}) {
  box.hidden = false;
  box.className = waiting ? "waiting" : "";
  // Said once by a screen reader, not at each second of the countdown.
  if (text.textContent !== message) text.textContent = message;
  countdown.textContent = "";
  action.hidden = act === undefined;
  action.textContent = label ?? "";
  action.onclick = () => {
    if (!waiting) hideNotice();
    act?.();
  };
}

export function hideNotice() {
  box.hidden = true;
  text.textContent = "";
}

/**
 * Waits, and shows how long; a click on "Try now" ends it.
 * @param {string} message
 * @param {{ seconds: number, signal: AbortSignal }} options
 * @returns {Promise<void>} Rejects when the signal aborts.
 */
export function waitVisibly(message, { seconds, signal }) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const until = performance.now() + 1000 * seconds;
    const end = () => {
      clearInterval(timer);
      signal.removeEventListener("abort", abort);
    };
    const go = () => {
      end();
      resolve();
    };
    const abort = () => {
      end();
      hideNotice();
      reject(signal.reason);
    };
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      if (left <= 0) return go();
      countdown.textContent = `again in ${left} s`;
    };
    showNotice(message, { label: "Try now", act: go, waiting: true });
    const timer = setInterval(tick, 250);
    signal.addEventListener("abort", abort);
    tick();
  });
}

// The field for an API key, which is there only where the worker, or a proxy before it, wants one.

import { byId } from "./elements.js";
import { hideNotice, showNotice } from "./notice.js";
import { apiKey, setApiKey } from "./worker_api.js";

const form = byId("key-form", HTMLFormElement);
const field = byId("key", HTMLInputElement);

/**
 * Shows the field, and waits until a key is given.
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function askForKey(signal) {
  signal.throwIfAborted();
  showNotice(
    apiKey() === "" ? "The worker wants an API key." : "The worker does not take this API key.",
    { waiting: true },
  );
  form.hidden = false;
  field.focus();
  return new Promise((resolve, reject) => {
    const end = () => {
      form.hidden = true;
      form.removeEventListener("submit", submit);
      signal.removeEventListener("abort", abort);
      hideNotice();
    };
    /** @param {SubmitEvent} event */
    const submit = (event) => {
      event.preventDefault();
      if (field.value.trim() === "") return;
      setApiKey(field.value);
      end();
      resolve();
    };
    const abort = () => {
      end();
      reject(signal.reason);
    };
    form.addEventListener("submit", submit);
    signal.addEventListener("abort", abort);
  });
}

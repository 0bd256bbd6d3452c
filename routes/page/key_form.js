// The dialog for an API key, which opens only where the worker, or a proxy before it, wants one.

import { byId } from "./elements.js";
import { ApiError, apiKey, keyIsRemembered, setApiKey } from "./worker_api.js";

const dialog = byId("key-dialog", HTMLDialogElement);
const form = byId("key-form", HTMLFormElement);
const field = byId("key", HTMLInputElement);
const remember = byId("remember-key", HTMLInputElement);
const forget = byId("forget-key", HTMLButtonElement);

/**
 * Opens the dialog, and waits until a key is given.
 * @param {AbortSignal} signal
 * @returns {Promise<void>} Rejects when the signal aborts, and with an ApiError when nobody gives one.
 */
export function askForKey(signal) {
  signal.throwIfAborted();
  byId("key-reason", HTMLParagraphElement).textContent = apiKey() === ""
    ? "The worker wants an API key."
    : "The worker does not take this API key.";
  field.value = "";
  remember.checked = keyIsRemembered();
  // Several requests may want one at once.
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((resolve, reject) => {
    const end = () => {
      form.removeEventListener("submit", submit);
      dialog.removeEventListener("close", cancel);
      signal.removeEventListener("abort", abort);
      dialog.close();
    };
    /** @param {SubmitEvent} event */
    const submit = (event) => {
      event.preventDefault();
      if (field.value.trim() === "") return;
      setApiKey(field.value, { remember: remember.checked });
      end();
      resolve();
    };
    const cancel = () => {
      end();
      reject(new ApiError("No API key was given.", { status: 401, code: "invalid_api_key" }));
    };
    const abort = () => {
      end();
      reject(signal.reason);
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", cancel);
    signal.addEventListener("abort", abort);
  });
}

/** Lets the buttons work that have to do with the key. */
export function setUpKeyForm() {
  byId("cancel-key", HTMLButtonElement).addEventListener("click", () => dialog.close());
  byId("open-settings", HTMLButtonElement).addEventListener("click", () => {
    forget.hidden = apiKey() === "";
  });
  forget.addEventListener("click", () => {
    setApiKey("", { remember: false });
    forget.hidden = true;
  });
}

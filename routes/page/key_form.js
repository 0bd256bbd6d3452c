// The API key dialog. It opens only if the worker, or a proxy in front of it, requires a key.

import { byId } from "./elements.js";
import { ApiError, apiKey, keyIsRemembered, setApiKey } from "./worker_api.js";

const dialog = byId("key-dialog", HTMLDialogElement);
const form = byId("key-form", HTMLFormElement);
const field = byId("key", HTMLInputElement);
const remember = byId("remember-key", HTMLInputElement);
const forget = byId("forget-key", HTMLButtonElement);

/**
 * Opens the dialog and waits until the user submits a key.
 * @param {AbortSignal} signal
 * @returns {Promise<void>} Rejects when the signal aborts, and with an ApiError if the user cancels.
 */
export function askForKey(signal) {
  signal.throwIfAborted();
  byId("key-reason", HTMLParagraphElement).textContent = apiKey() === ""
    ? "The worker requires an API key."
    : "The worker rejected this API key.";
  field.value = "";
  remember.checked = keyIsRemembered();
  // Several requests may need a key at the same time.
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((resolve, reject) => {
    const cleanUp = () => {
      form.removeEventListener("submit", onSubmit);
      dialog.removeEventListener("close", onCancel);
      signal.removeEventListener("abort", onAbort);
      dialog.close();
    };
    /** @param {SubmitEvent} event */
    const onSubmit = (event) => {
      event.preventDefault();
      if (field.value.trim() === "") return;
      setApiKey(field.value, { remember: remember.checked });
      cleanUp();
      resolve();
    };
    const onCancel = () => {
      cleanUp();
      reject(new ApiError("No API key was entered.", { status: 401, code: "invalid_api_key" }));
    };
    const onAbort = () => {
      cleanUp();
      reject(signal.reason);
    };
    form.addEventListener("submit", onSubmit);
    dialog.addEventListener("close", onCancel);
    signal.addEventListener("abort", onAbort);
  });
}

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

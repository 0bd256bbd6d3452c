// The chat page's entry: connects the modules, and the user's actions to them.

import { showBanner } from "./banner.js";
import { Chat } from "./chat.js";
import { watchConversations } from "./conversation_store.js";
import { byId } from "./elements.js";
import { setUpKeyForm } from "./key_form.js";
import { copyText } from "./markdown.js";
import { withRetries } from "./retry.js";
import { setUpSettings } from "./settings.js";
import { closeSidebar, setUpSidebar, showRecent } from "./sidebar.js";
import { exportState, importState } from "./state_files.js";
import { currentTheme, nextTheme } from "./theme.js";
import { watchWorker } from "./worker_status.js";

const input = byId("input", HTMLTextAreaElement);
const chat = new Chat();

/** @param {string} text */
function send(text) {
  const message = text.trim();
  if (message === "" || chat.inFlight) return;
  input.value = "";
  void chat.send(message);
}

/**
 * Runs an action with retries, and shows its error in the banner.
 * @param {() => Promise<unknown>} action
 */
async function runOrShowError(action) {
  try {
    await withRetries(action, { signal: new AbortController().signal });
  } catch (error) {
    showBanner(error instanceof Error ? error.message : String(error));
  }
}

function openAddress() {
  chat.navigate(location.hash);
}

function setUpMessageForm() {
  byId("form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    send(input.value);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send(input.value);
  });
  if (!CSS.supports("field-sizing: content")) {
    input.addEventListener("input", () => input.rows = Math.min(8, input.value.split("\n").length));
  }
  byId("stop", HTMLButtonElement).addEventListener("click", () => {
    chat.stop();
    input.focus();
  });
  byId("continue", HTMLButtonElement).addEventListener("click", () => void chat.continueReply());
  byId("to-latest", HTMLButtonElement).addEventListener("click", () => void chat.showLatest());
  byId("skip", HTMLAnchorElement).addEventListener("click", (event) => {
    // The link must not replace the conversation's state in the address.
    event.preventDefault();
    input.focus();
  });
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && !document.querySelector("dialog[open]") && !closeSidebar()) chat.stop();
  });
}

function setUpSidebarButtons() {
  const file = byId("import-file", HTMLInputElement);
  byId("new-chat", HTMLButtonElement).addEventListener("click", () => {
    closeSidebar();
    if (location.hash === "") return chat.newChat();
    history.pushState(null, "", location.pathname);
    openAddress();
  });
  byId("export", HTMLButtonElement).addEventListener("click", () => {
    closeSidebar();
    void runOrShowError(async () => {
      if (chat.stateId) await exportState(chat.stateId);
    });
  });
  byId("import", HTMLButtonElement).addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    closeSidebar();
    if (chosen) void runOrShowError(async () => location.hash = await importState(chosen));
  });
  const theme = byId("theme", HTMLButtonElement);
  const showTheme = () => theme.textContent = `Theme: ${currentTheme()}`;
  theme.addEventListener("click", () => {
    nextTheme();
    showTheme();
  });
  showTheme();
  const link = byId("copy-link", HTMLButtonElement);
  link.addEventListener("click", () => copyText(location.href, link));
}

setUpSettings();
setUpKeyForm();
setUpSidebar();
setUpMessageForm();
setUpSidebarButtons();
showRecent(null);
watchConversations(() => showRecent(chat.stateId));
addEventListener("hashchange", openAddress);
addEventListener("popstate", openAddress);
watchWorker(send);
openAddress();

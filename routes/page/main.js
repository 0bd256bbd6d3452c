// The chat page: its parts are put together here, and what the user does reaches them.

import { Chat } from "./chat.js";
import { byId } from "./elements.js";
import { setUpKeyForm } from "./key_form.js";
import { watchLibrary } from "./library.js";
import { copyText } from "./markdown.js";
import { showNotice } from "./notice.js";
import { patiently } from "./patience.js";
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
  if (message === "" || chat.underWay) return;
  input.value = "";
  void chat.send(message);
}

/** Runs what may fail, and shows why; a key is asked for. @param {() => Promise<unknown>} act */
async function orTell(act) {
  try {
    await patiently(act, { signal: new AbortController().signal });
  } catch (error) {
    showNotice(error instanceof Error ? error.message : String(error));
  }
}

function openAddress() {
  chat.goToAddress(location.hash);
}

function setUpMessage() {
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
  byId("continue", HTMLButtonElement).addEventListener("click", () => void chat.goOn());
  byId("to-latest", HTMLButtonElement).addEventListener("click", () => void chat.toLatest());
  byId("skip", HTMLAnchorElement).addEventListener("click", (event) => {
    // The address is the conversation's.
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
    void orTell(async () => {
      if (chat.current) await exportState(chat.current);
    });
  });
  byId("import", HTMLButtonElement).addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    closeSidebar();
    if (chosen) void orTell(async () => location.hash = await importState(chosen));
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
setUpMessage();
setUpSidebarButtons();
showRecent(null);
watchLibrary(() => showRecent(chat.current));
addEventListener("hashchange", openAddress);
addEventListener("popstate", openAddress);
watchWorker(send);
openAddress();

// The list of recent conversations. On narrow screens it is a drawer.

import { deleteConversation, listConversations, saveConversation } from "./conversation_store.js";
import { button, byId, element } from "./elements.js";

const opener = byId("open-sidebar", HTMLButtonElement);
const backdrop = byId("backdrop", HTMLDivElement);
const chat = byId("chat", HTMLDivElement);
const list = byId("recent", HTMLUListElement);
const removed = byId("removed", HTMLParagraphElement);
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {boolean} open */
function setOpen(open) {
  document.body.classList.toggle("drawer", open);
  backdrop.hidden = !open;
  chat.inert = open;
  opener.setAttribute("aria-expanded", String(open));
  if (open) byId("new-chat", HTMLButtonElement).focus();
}

/** Closes the drawer; returns whether it was open. */
export function closeSidebar() {
  if (backdrop.hidden) return false;
  setOpen(false);
  opener.focus();
  return true;
}

export function setUpSidebar() {
  opener.addEventListener("click", () => setOpen(true));
  backdrop.addEventListener("click", closeSidebar);
  // A wide window shows the list beside the chat.
  matchMedia("(min-width: 56rem)").addEventListener("change", () => setOpen(false));
}

/** @param {string | null} current The displayed state. */
export function showRecent(current) {
  const all = listConversations();
  list.replaceChildren(...all.map((conversation) => itemOf(conversation, current)));
  byId("recent-none", HTMLParagraphElement).hidden = all.length > 0;
}

/**
 * @param {import("./conversation_store.js").Conversation} conversation
 * @param {string | null} current
 */
function itemOf(conversation, current) {
  const { key, title, at } = conversation;
  const link = element(
    "a",
    { href: `#${conversation.current}`, title: dateFormat.format(at) },
    title,
  );
  link.dir = "auto";
  if (current !== null && Object.hasOwn(conversation.nodes, current)) {
    link.setAttribute("aria-current", "page");
  }
  link.addEventListener("click", () => void closeSidebar());
  const remove = button("×", () => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    deleteConversation(key);
    showRecent(current);
    offerUndo(conversation, current);
    const target = next && list.querySelector(`a[href="${next.querySelector("a")?.hash}"]`);
    (target instanceof HTMLElement ? target : byId("new-chat", HTMLButtonElement)).focus();
  }, { name: `Remove ${title}`, kind: "remove" });
  const item = element("li", {}, link, remove);
  return item;
}

/**
 * @param {import("./conversation_store.js").Conversation} conversation
 * @param {string | null} current
 */
function offerUndo(conversation, current) {
  const undo = button("Undo", () => {
    saveConversation(conversation);
    removed.replaceChildren();
    showRecent(current);
  });
  removed.replaceChildren("Removed from this list. ", undo);
}

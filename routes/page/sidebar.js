// The list of recent conversations, and on a phone the drawer that it is in.

import { button, byId, element } from "./elements.js";
import { conversations, forget, remember } from "./library.js";

const opener = byId("open-sidebar", HTMLButtonElement);
const shade = byId("shade", HTMLDivElement);
const chat = byId("chat", HTMLDivElement);
const list = byId("recent", HTMLUListElement);
const removed = byId("removed", HTMLParagraphElement);
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {boolean} open */
function setOpen(open) {
  document.body.classList.toggle("drawer", open);
  shade.hidden = !open;
  chat.inert = open;
  opener.setAttribute("aria-expanded", String(open));
  if (open) byId("new-chat", HTMLButtonElement).focus();
}

/** Closes the drawer, if it is open; tells whether it was. */
export function closeSidebar() {
  if (shade.hidden) return false;
  setOpen(false);
  opener.focus();
  return true;
}

export function setUpSidebar() {
  opener.addEventListener("click", () => setOpen(true));
  shade.addEventListener("click", closeSidebar);
  // A window that has become wide has the list beside the chat.
  matchMedia("(min-width: 56rem)").addEventListener("change", () => setOpen(false));
}

/** @param {string | null} current The state that is shown. */
export function showRecent(current) {
  const all = conversations();
  list.replaceChildren(...all.map((one) => itemOf(one, current)));
  byId("recent-none", HTMLParagraphElement).hidden = all.length > 0;
}

/**
 * @param {import("./library.js").Conversation} conversation
 * @param {string | null} current
 */
function itemOf(conversation, current) {
  const { key, title, at } = conversation;
  const link = element("a", { href: `#${conversation.current}`, title: days.format(at) }, title);
  link.dir = "auto";
  if (current !== null && Object.hasOwn(conversation.nodes, current)) {
    link.setAttribute("aria-current", "page");
  }
  link.addEventListener("click", () => void closeSidebar());
  const remove = button("×", () => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    forget(key);
    showRecent(current);
    offerUndo(conversation, current);
    const target = next && list.querySelector(`a[href="${next.querySelector("a")?.hash}"]`);
    (target instanceof HTMLElement ? target : byId("new-chat", HTMLButtonElement)).focus();
  }, { name: `Remove ${title}`, kind: "remove" });
  const item = element("li", {}, link, remove);
  return item;
}

/**
 * @param {import("./library.js").Conversation} conversation
 * @param {string | null} current
 */
function offerUndo(conversation, current) {
  const undo = button("Undo", () => {
    remember(conversation);
    removed.replaceChildren();
    showRecent(current);
  });
  removed.replaceChildren("Removed from this list. ", undo);
}

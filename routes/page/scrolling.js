// Scrolls with the newest text until the user scrolls away; then a button leads back.

import { byId } from "./elements.js";

/** Distances from the end, in pixels, that count as being at the end. */
const NEAR_PX = 96;

const scroller = byId("scroller", HTMLElement);
const toEnd = byId("to-end", HTMLButtonElement);
let following = true;

function isNearEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
}

/** Scrolls to the end, and follows new text from there. */
export function goToEnd() {
  following = true;
  scroller.scrollTop = scroller.scrollHeight;
  toEnd.hidden = true;
}

/** Scrolls to new text if the user is at the end. */
export function follow() {
  if (following) scroller.scrollTop = scroller.scrollHeight;
  toEnd.hidden = isNearEnd();
}

scroller.addEventListener("scroll", () => {
  following = isNearEnd();
  toEnd.hidden = following;
}, { passive: true });
toEnd.addEventListener("click", goToEnd);

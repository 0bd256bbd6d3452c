// Follows the newest text, unless the reader has gone elsewhere; then a button leads back.

import { byId } from "./elements.js";

/** Pixels from the end that still count as the end. */
const NEAR = 96;

const scroller = byId("scroller", HTMLElement);
const toEnd = byId("to-end", HTMLButtonElement);
let following = true;

function isNearEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
}

/** Goes to the newest text, and stays there. */
export function goToEnd() {
  following = true;
  scroller.scrollTop = scroller.scrollHeight;
  toEnd.hidden = true;
}

/** To be called when there is more text. */
export function follow() {
  if (following) scroller.scrollTop = scroller.scrollHeight;
  toEnd.hidden = isNearEnd();
}

scroller.addEventListener("scroll", () => {
  following = isNearEnd();
  toEnd.hidden = following;
}, { passive: true });
toEnd.addEventListener("click", goToEnd);

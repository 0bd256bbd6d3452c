// What goes with the place where a conversation stands: variants and figures of its turns, what can
// be done there, its title and its line in the list.

import { byId } from "./elements.js";
import { showRecent } from "./sidebar.js";

/** @param {import("./chat.js").Chat} chat */
export function showPlace({ view, conversation, current, turns, open, underWay, tree }) {
  const nodes = conversation?.nodes ?? {};
  const known = tree !== null && current !== null && Object.hasOwn(nodes, current);
  const stats = turns.map((_, turn) => {
    const state = known ? tree.stateAfter(current, turn + 1) : null;
    return state === null ? undefined : nodes[state].stats;
  });
  view.decorate(known ? tree.variantsOn(current) : [], stats);
  const idle = underWay === null;
  const goesOn = known && tree.newestAfter(current) !== current;
  byId("welcome", HTMLElement).hidden = turns.length > 0;
  byId("continue", HTMLButtonElement).hidden = !open || !idle;
  byId("to-latest", HTMLButtonElement).hidden = !goesOn || !idle;
  byId("export", HTMLButtonElement).disabled = current === null;
  byId("copy-link", HTMLButtonElement).disabled = current === null;
  document.title = conversation ? `${conversation.title} · RWKV chat` : "RWKV chat";
  showRecent(current);
}

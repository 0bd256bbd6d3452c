// Updates everything that depends on the displayed state: each turn's variants and statistics, the
// available buttons, the page title and the sidebar.

import { byId } from "./elements.js";
import { showRecent } from "./sidebar.js";

/** @param {import("./chat.js").Chat} chat */
export function showConversation(
  { view, conversation, stateId, turns, incomplete, inFlight, tree },
) {
  const nodes = conversation?.nodes ?? {};
  const known = tree !== null && stateId !== null && Object.hasOwn(nodes, stateId);
  const stats = turns.map((_, turn) => {
    const state = known ? tree.stateAfter(stateId, turn + 1) : null;
    return state === null ? undefined : nodes[state].stats;
  });
  view.showDetails(known ? tree.variantsOn(stateId) : [], stats);
  const idle = inFlight === null;
  const hasLaterTurns = known && tree.newestAfter(stateId) !== stateId;
  byId("welcome", HTMLElement).hidden = turns.length > 0;
  byId("continue", HTMLButtonElement).hidden = !incomplete || !idle;
  byId("to-latest", HTMLButtonElement).hidden = !hasLaterTurns || !idle;
  byId("export", HTMLButtonElement).disabled = stateId === null;
  byId("copy-link", HTMLButtonElement).disabled = stateId === null;
  document.title = conversation ? `${conversation.title} · RWKV chat` : "RWKV chat";
  showRecent(stateId);
}

// The conversations that this browser remembers: their ids, titles and branches. What was said is
// in the worker's store alone.

/**
 * @typedef {{
 *   key: string, title: string, at: number, current: string, nodes: import("./branches.js").Branches,
 * }} Conversation `current`: the state shown last. `at`: when it was used, in milliseconds.
 */

const KEY = "rwkv.conversations";

/** Conversations that are remembered. */
const MAX_CONVERSATIONS = 100;

/** @returns {Conversation[]} Newest first. */
export function conversations() {
  try {
    const read = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(read) ? read.filter(isConversation) : [];
  } catch {
    return [];
  }
}

/**
 * @param {unknown} value
 * @returns {value is Conversation}
 */
function isConversation(value) {
  const one = /** @type {Conversation} */ (value);
  return typeof one?.key === "string" && typeof one.title === "string" &&
    typeof one.current === "string" && typeof one.nodes === "object" && one.nodes !== null;
}

/** @param {string} key */
export function conversationOf(key) {
  return conversations().find((one) => one.key === key) ?? null;
}

/** @param {string} state */
export function conversationWith(state) {
  return conversations().find(({ nodes }) => Object.hasOwn(nodes, state)) ?? null;
}

/** @param {Conversation} conversation Put first. */
export function remember(conversation) {
  const others = conversations().filter(({ key }) => key !== conversation.key);
  store([conversation, ...others]);
}

/** @param {string} key */
export function forget(key) {
  store(conversations().filter((one) => one.key !== key));
}

/** @param {Conversation[]} all */
function store(all) {
  // Where there is too little room, the oldest go; where there is none, nothing is remembered.
  for (let kept = all.slice(0, MAX_CONVERSATIONS); kept.length > 0; kept = kept.slice(0, -10)) {
    try {
      return localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      continue;
    }
  }
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Storage may be forbidden.
  }
}

/** @param {() => void} changed Called when another tab has changed the list. */
export function watchLibrary(changed) {
  addEventListener("storage", ({ key }) => {
    if (key === KEY || key === null) changed();
  });
}

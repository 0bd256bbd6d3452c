// The conversations of this browser, in localStorage: their state ids, titles and branches. Only the
// worker's store has the messages.

/**
 * @typedef {{
 *   key: string, title: string, at: number, current: string, nodes: import("./branches.js").Branches,
 * }} Conversation `current`: the id of the state shown last. `at`: the time of the last use, in
 *   milliseconds.
 */

const KEY = "rwkv.conversations";

const MAX_CONVERSATIONS = 100;

/** @returns {Conversation[]} The most recently used first. */
export function listConversations() {
  try {
    const parsed = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(parsed) ? parsed.filter(isConversation) : [];
  } catch {
    return [];
  }
}

/**
 * @param {unknown} value
 * @returns {value is Conversation}
 */
function isConversation(value) {
  const candidate = /** @type {Conversation} */ (value);
  return typeof candidate?.key === "string" && typeof candidate.title === "string" &&
    typeof candidate.current === "string" && typeof candidate.nodes === "object" &&
    candidate.nodes !== null;
}

/** @param {string} key */
export function findConversation(key) {
  return listConversations().find((conversation) => conversation.key === key) ?? null;
}

/** @param {string} stateId */
export function findConversationByState(stateId) {
  return listConversations().find(({ nodes }) => Object.hasOwn(nodes, stateId)) ?? null;
}

/** @param {Conversation} conversation Becomes the first of the list. */
export function saveConversation(conversation) {
  const others = listConversations().filter(({ key }) => key !== conversation.key);
  store([conversation, ...others]);
}

/** @param {string} key */
export function deleteConversation(key) {
  store(listConversations().filter((conversation) => conversation.key !== key));
}

/** @param {Conversation[]} conversations */
function store(conversations) {
  // If the storage quota is too small, drops the oldest conversations until the rest fits.
  let stored = conversations.slice(0, MAX_CONVERSATIONS);
  for (; stored.length > 0; stored = stored.slice(0, -10)) {
    try {
      return localStorage.setItem(KEY, JSON.stringify(stored));
    } catch {
      continue;
    }
  }
  try {
    localStorage.removeItem(KEY);
  } catch {
    // The browser forbids storage.
  }
}

/** @param {() => void} onChange Called when another tab changes the list. */
export function watchConversations(onChange) {
  addEventListener("storage", ({ key }) => {
    if (key === KEY || key === null) onChange();
  });
}

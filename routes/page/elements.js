// Elements of the page. Text is only ever set as text, never read as HTML.

/**
 * The element with this id, of the kind that it has to be.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`There is no ${kind.name} #${id}`);
  return found;
}

/**
 * A new element: attributes, and then what it contains.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} contents
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...contents) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...contents);
  return made;
}

/**
 * A button with a text, or with a name for those who don't see its sign.
 * @param {string} text
 * @param {() => void} act
 * @param {{ name?: string, kind?: string }} [options]
 */
export function button(text, act, { name, kind = "quiet" } = {}) {
  const made = element("button", { type: "button", class: kind }, text);
  if (name !== undefined) made.setAttribute("aria-label", name);
  made.addEventListener("click", act);
  return made;
}

// Finds and creates elements of the page. Text is always set as text, never parsed as HTML.

/**
 * Returns the element with this id.
 * @throws If the page has no such element of this class.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`Cannot find a ${kind.name} with the id ${id}`);
  return found;
}

/**
 * Creates an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} contents
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...contents) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  created.append(...contents);
  return created;
}

/**
 * Creates a button.
 * @param {string} text
 * @param {() => void} onClick
 * @param {{ name?: string, kind?: string }} [options] `name`: the accessible name, if it differs from
 *   the text. `kind`: the CSS class.
 */
export function button(text, onClick, { name, kind = "quiet" } = {}) {
  const created = element("button", { type: "button", class: kind }, text);
  if (name !== undefined) created.setAttribute("aria-label", name);
  created.addEventListener("click", onClick);
  return created;
}

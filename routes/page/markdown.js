// Renders Markdown as DOM nodes. `marked` only tokenizes; this module creates every node, and sets
// text as text. It never parses HTML, so a model's output cannot run scripts.

import { button, element } from "./elements.js";
import { Lexer } from "./marked.js";

/**
 * A token of `marked`. Its type determines which fields it has.
 * @typedef {{
 *   type: string, raw: string, text?: string, tokens?: Token[], lang?: string, depth?: number,
 *   ordered?: boolean, start?: number | "", items?: Token[], task?: boolean, checked?: boolean,
 *   href?: string, header?: Cell[], rows?: Cell[][],
 * }} Token
 * @typedef {{ text: string, tokens: Token[], align: string | null }} Cell
 */

/** Inline text with more delimiters stays plain: matching them takes too long. */
const MAX_DELIMITERS = 2_000;

/** Tokens nested deeper are shown as plain text. */
const MAX_DEPTH = 16;

/**
 * Splits a text into block tokens. Their `raw` texts join to the text.
 * @param {string} text
 * @returns {Token[]}
 */
export function blocksOf(text) {
  const lexer = new Lexer({ gfm: true, breaks: true });
  try {
    lexer.blockTokens(text, lexer.tokens);
    for (const { src, tokens } of lexer.inlineQueue) {
      if (countDelimiters(src) <= MAX_DELIMITERS) lexer.inlineTokens(src, tokens);
      else tokens.push({ type: "text", raw: src, text: src, escaped: false });
    }
    return /** @type {Token[]} */ (lexer.tokens);
  } catch {
    // The text is nested too deeply for the call stack.
    return [{ type: "plain", raw: text, text }];
  }
}

/** @param {string} text */
function countDelimiters(text) {
  return text.match(/[*_~`[\]<!]/g)?.length ?? 0;
}

/**
 * @param {Token[]} tokens Block or inline tokens.
 * @returns {Node[]}
 */
export function nodesOf(tokens, depth = 0) {
  return tokens.flatMap((token) => nodeOf(token, depth) ?? []);
}

/**
 * @param {Token} token
 * @param {number} depth
 * @returns {Node | null}
 */
function nodeOf(token, depth) {
  if (depth > MAX_DEPTH) return new Text(token.raw);
  const children = () =>
    token.tokens ? nodesOf(token.tokens, depth + 1) : [token.text ?? token.raw];
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "paragraph":
      return element("p", { dir: "auto" }, ...children());
    case "heading":
      return element(headingTag(token.depth ?? 1), { dir: "auto" }, ...children());
    case "code":
      return codeBlock(token.text ?? "", token.lang ?? "");
    case "blockquote":
      return element("blockquote", { dir: "auto" }, ...children());
    case "list":
      return list(token, depth);
    case "table":
      return table(token, depth);
    case "hr":
      return element("hr");
    case "plain":
      return element("p", { dir: "auto", class: "plain" }, token.text ?? "");
    case "html":
      // HTML is shown as its source; block HTML becomes a paragraph.
      return token.raw.endsWith("\n") || depth === 0
        ? element("p", { dir: "auto", class: "plain" }, token.raw.trimEnd())
        : new Text(token.raw);
    case "text":
      return token.tokens ? fragment(children()) : new Text(token.text ?? token.raw);
    case "escape":
      return new Text(token.text ?? "");
    case "strong":
      return element("strong", {}, ...children());
    case "em":
      return element("em", {}, ...children());
    case "del":
      return element("del", {}, ...children());
    case "codespan":
      return element("code", {}, token.text ?? "");
    case "br":
      return element("br");
    case "checkbox":
      return new Text(token.checked ? "☑ " : "☐ ");
    case "link":
      return link(token.href ?? "", children(), token.raw);
    case "image":
      // Images become links: fetching one would reveal to another host what the user reads.
      return link(token.href ?? "", [token.text || (token.href ?? "")], token.raw);
    default:
      return new Text(token.raw);
  }
}

/** @param {(Node | string)[]} contents */
function fragment(contents) {
  const created = document.createDocumentFragment();
  created.append(...contents);
  return created;
}

/**
 * Returns a level below the page's own headings.
 * @param {number} depth
 * @returns {"h4" | "h5" | "h6"}
 */
function headingTag(depth) {
  return depth <= 2 ? "h4" : depth === 3 ? "h5" : "h6";
}

/**
 * Creates a link, or plain text if the address is not HTTP or HTTPS.
 * @param {string} href
 * @param {(Node | string)[]} contents
 * @param {string} raw
 */
function link(href, contents, raw) {
  const url = URL.parse(href);
  if (url === null || !["http:", "https:"].includes(url.protocol)) return new Text(raw);
  const rel = "noopener noreferrer nofollow";
  return element("a", { href: url.href, target: "_blank", rel }, ...contents);
}

/**
 * @param {string} code
 * @param {string} language
 */
function codeBlock(code, language) {
  const name = language.match(/^[\w+#.-]{1,20}/)?.[0] ?? "";
  const copy = button("Copy", () => copyText(code, copy), { name: "Copy the code" });
  const label = name === "" ? "Code" : `Code, ${name}`;
  return element(
    "figure",
    { class: "code", dir: "ltr" },
    element("figcaption", {}, element("span", {}, name || "text"), copy),
    element(
      "pre",
      { tabindex: "0", role: "group", "aria-label": label },
      element("code", {}, code),
    ),
  );
}

/**
 * @param {Token} token
 * @param {number} depth
 */
function list({ ordered, start, items = [] }, depth) {
  const created = element(ordered ? "ol" : "ul", { dir: "auto" });
  if (ordered && typeof start === "number" && start !== 1) {
    created.setAttribute("start", `${start}`);
  }
  for (const item of items) {
    const line = element("li", { dir: "auto" }, ...nodesOf(item.tokens ?? [], depth + 1));
    if (item.task) line.className = "task";
    created.append(line);
  }
  return created;
}

/**
 * @param {Token} token
 * @param {number} depth
 */
function table({ header = [], rows = [] }, depth) {
  /** @param {"th" | "td"} tag @param {Cell} cell */
  const cell = (tag, { tokens, align }) => {
    const created = element(tag, { dir: "auto" }, ...nodesOf(tokens, depth + 1));
    if (align === "center" || align === "right") created.className = align;
    return created;
  };
  const head = element("tr", {}, ...header.map((content) => cell("th", content)));
  const body = rows.map((row) => element("tr", {}, ...row.map((content) => cell("td", content))));
  return element(
    "div",
    { class: "table", tabindex: "0", role: "group", "aria-label": "Table" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}

/**
 * Copies a text, and shows the result on the button.
 * @param {string} text
 * @param {HTMLButtonElement} button
 */
export async function copyText(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers allow this only in secure contexts; a LAN address over HTTP is not one.
    button.textContent = "Cannot copy here";
  }
  setTimeout(() => button.textContent = label, 1500);
}

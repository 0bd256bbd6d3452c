// Markdown as nodes of the document. `marked` only tells what is what; every node is made here, and
// text is set as text: no HTML is ever parsed, so what a model writes can run nothing.

import { button, element } from "./elements.js";
import { Lexer } from "./marked.js";

/**
 * A piece of markdown as `marked` tells it; which fields there are depends on the type.
 * @typedef {{
 *   type: string, raw: string, text?: string, tokens?: Token[], lang?: string, depth?: number,
 *   ordered?: boolean, start?: number | "", items?: Token[], task?: boolean, checked?: boolean,
 *   href?: string, header?: Cell[], rows?: Cell[][],
 * }} Token
 * @typedef {{ text: string, tokens: Token[], align: string | null }} Cell
 */

/** A text with more signs than this in one piece is left as it is: finding pairs takes too long. */
const MAX_SIGNS = 2_000;

/** What is nested deeper is shown as text. */
const MAX_DEPTH = 16;

/**
 * The blocks of a text, one behind the other: their `raw` texts are the text.
 * @param {string} text
 * @returns {Token[]}
 */
export function blocksOf(text) {
  const lexer = new Lexer({ gfm: true, breaks: true });
  try {
    lexer.blockTokens(text, lexer.tokens);
    for (const { src, tokens } of lexer.inlineQueue) {
      if (signsIn(src) <= MAX_SIGNS) lexer.inlineTokens(src, tokens);
      else tokens.push({ type: "text", raw: src, text: src, escaped: false });
    }
    return /** @type {Token[]} */ (lexer.tokens);
  } catch {
    // Nested deeper than the stack is.
    return [{ type: "plain", raw: text, text }];
  }
}

/** @param {string} text */
function signsIn(text) {
  return text.match(/[*_~`[\]<!]/g)?.length ?? 0;
}

/**
 * @param {Token[]} tokens Blocks, or pieces of a line.
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
  const inside = () => token.tokens ? nodesOf(token.tokens, depth + 1) : [token.text ?? token.raw];
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "paragraph":
      return element("p", { dir: "auto" }, ...inside());
    case "heading":
      return element(headingTag(token.depth ?? 1), { dir: "auto" }, ...inside());
    case "code":
      return codeBlock(token.text ?? "", token.lang ?? "");
    case "blockquote":
      return element("blockquote", { dir: "auto" }, ...inside());
    case "list":
      return list(token, depth);
    case "table":
      return table(token, depth);
    case "hr":
      return element("hr");
    case "plain":
      return element("p", { dir: "auto", class: "plain" }, token.text ?? "");
    case "html":
      // HTML is shown as it was written. Of a block it is a paragraph.
      return token.raw.endsWith("\n") || depth === 0
        ? element("p", { dir: "auto", class: "plain" }, token.raw.trimEnd())
        : new Text(token.raw);
    case "text":
      return token.tokens ? fragment(inside()) : new Text(token.text ?? token.raw);
    case "escape":
      return new Text(token.text ?? "");
    case "strong":
      return element("strong", {}, ...inside());
    case "em":
      return element("em", {}, ...inside());
    case "del":
      return element("del", {}, ...inside());
    case "codespan":
      return element("code", {}, token.text ?? "");
    case "br":
      return element("br");
    case "checkbox":
      return new Text(token.checked ? "☑ " : "☐ ");
    case "link":
      return link(token.href ?? "", inside(), token.raw);
    case "image":
      // No pictures are fetched: that would tell another host what is read here.
      return link(token.href ?? "", [token.text || (token.href ?? "")], token.raw);
    default:
      return new Text(token.raw);
  }
}

/** @param {(Node | string)[]} contents */
function fragment(contents) {
  const made = document.createDocumentFragment();
  made.append(...contents);
  return made;
}

/**
 * Below the page's own headings.
 * @param {number} depth
 * @returns {"h4" | "h5" | "h6"}
 */
function headingTag(depth) {
  return depth <= 2 ? "h4" : depth === 3 ? "h5" : "h6";
}

/**
 * A link to the web, or its text as it was written.
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
  const made = element(ordered ? "ol" : "ul", { dir: "auto" });
  if (ordered && typeof start === "number" && start !== 1) made.setAttribute("start", `${start}`);
  for (const item of items) {
    const line = element("li", { dir: "auto" }, ...nodesOf(item.tokens ?? [], depth + 1));
    if (item.task) line.className = "task";
    made.append(line);
  }
  return made;
}

/**
 * @param {Token} token
 * @param {number} depth
 */
function table({ header = [], rows = [] }, depth) {
  /** @param {"th" | "td"} tag @param {Cell} cell */
  const cell = (tag, { tokens, align }) => {
    const made = element(tag, { dir: "auto" }, ...nodesOf(tokens, depth + 1));
    if (align === "center" || align === "right") made.className = align;
    return made;
  };
  const head = element("tr", {}, ...header.map((one) => cell("th", one)));
  const body = rows.map((row) => element("tr", {}, ...row.map((one) => cell("td", one))));
  return element(
    "div",
    { class: "table", tabindex: "0", role: "group", "aria-label": "Table" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
  );
}

/**
 * Copies a text, and says so on the button.
 * @param {string} text
 * @param {HTMLButtonElement} button
 */
export async function copyText(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers allow it on secure origins only, which an address in the local network is not.
    button.textContent = "Cannot copy here";
  }
  setTimeout(() => button.textContent = label, 1500);
}

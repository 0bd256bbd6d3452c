// A reply on the page while it grows. Blocks that have ended are left alone; only the last one is
// made anew, once a frame, and less often the longer that takes: the work stays a small share of
// the time whatever is written.

import { blocksOf, nodesOf } from "./markdown.js";

/** Rendering may take one part in this many of the time. */
const SHARE = 8;

export class ReplyView {
  /** @type {HTMLElement} */
  #body;
  #source = "";
  /** Whether what came last was a return, which a new line may follow. */
  #returned = false;
  /** Characters of the source in blocks that have ended. */
  #ended = 0;
  /** @type {ChildNode[]} Nodes of the last block. */
  #tail = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #notBefore = 0;
  #onRender;

  /**
   * @param {HTMLElement} body
   * @param {() => void} [onRender] Called when the page has changed.
   */
  constructor(body, onRender = () => {}) {
    this.#body = body;
    this.#onRender = onRender;
  }

  get text() {
    return this.#source;
  }

  /** @param {string} text */
  append(text) {
    const rest = this.#returned && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#returned = text.endsWith("\r");
    this.#source += rest.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
    this.#timer ??= setTimeout(
      () => requestAnimationFrame(() => this.flush()),
      Math.max(0, this.#notBefore - performance.now()),
    );
  }

  /** Shows what has come so far, now. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const began = performance.now();
    const rest = this.#source.slice(this.#ended);
    const blocks = blocksOf(rest);
    const last = blocks.findLastIndex(({ type }) => type !== "space");
    const before = blocks.slice(0, Math.max(0, last));
    const raw = before.map((block) => block.raw).join("");
    for (const node of this.#tail) node.remove();
    if (rest.startsWith(raw)) {
      this.#body.append(...nodesOf(before));
      this.#ended += raw.length;
      this.#tail = this.#append(blocks.slice(before.length));
    } else {
      this.#tail = this.#append(blocks);
    }
    const now = performance.now();
    this.#notBefore = now + SHARE * (now - began);
    this.#onRender();
  }

  /**
   * @param {import("./markdown.js").Token[]} blocks
   * @returns {ChildNode[]}
   */
  #append(blocks) {
    const from = this.#body.childNodes.length;
    this.#body.append(...nodesOf(blocks));
    return [...this.#body.childNodes].slice(from);
  }
}

// Renders a reply while it streams. Complete blocks are not touched again. The last block is rendered
// once a frame, and less often the longer rendering takes, so that it uses a small share of the time
// for any text.

import { blocksOf, nodesOf } from "./markdown.js";

/** Pauses after a rendering for this multiple of its duration. */
const PAUSE_FACTOR = 8;

export class ReplyView {
  /** @type {HTMLElement} */
  #body;
  #source = "";
  /** Whether the text ends in a carriage return, which a line feed may follow. */
  #endsInReturn = false;
  /** Characters of the source in complete blocks. */
  #completeLength = 0;
  /** @type {ChildNode[]} The nodes of the last block. */
  #tail = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #nextRenderAt = 0;
  #onRender;

  /**
   * @param {HTMLElement} body
   * @param {() => void} [onRender] Called after each rendering.
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
    const rest = this.#endsInReturn && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#endsInReturn = text.endsWith("\r");
    this.#source += rest.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
    this.#timer ??= setTimeout(
      () => requestAnimationFrame(() => this.flush()),
      Math.max(0, this.#nextRenderAt - performance.now()),
    );
  }

  /** Renders all text received so far. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const startedAt = performance.now();
    const rest = this.#source.slice(this.#completeLength);
    const blocks = blocksOf(rest);
    const last = blocks.findLastIndex(({ type }) => type !== "space");
    const complete = blocks.slice(0, Math.max(0, last));
    const raw = complete.map((block) => block.raw).join("");
    for (const node of this.#tail) node.remove();
    if (rest.startsWith(raw)) {
      this.#body.append(...nodesOf(complete));
      this.#completeLength += raw.length;
      this.#tail = this.#append(blocks.slice(complete.length));
    } else {
      this.#tail = this.#append(blocks);
    }
    const now = performance.now();
    this.#nextRenderAt = now + PAUSE_FACTOR * (now - startedAt);
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

// The list of turns, each with its actions: copy, edit, retry, and switch between variants.

import { button, element } from "./elements.js";
import { copyText } from "./markdown.js";
import { ReplyView } from "./reply_view.js";
import { questionOf } from "./turns.js";

/**
 * @typedef {import("./turns.js").Turn} Turn
 * @typedef {{
 *   retry: (turn: number) => void,
 *   edit: (turn: number, question: string) => void,
 *   showVariant: (turn: number, owner: string) => void,
 *   onChange: () => void,
 * }} Actions `onChange`: a reply has new text.
 * @typedef {{
 *   root: HTMLLIElement, turn: Turn, bubble: HTMLElement, questionTools: HTMLElement,
 *   tools: HTMLElement, variants: HTMLElement, stats: HTMLElement, reply: ReplyView,
 * }} Item
 */

const numberFormat = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export class TranscriptView {
  #list;
  #actions;
  /** @type {Item[]} */
  #items = [];

  /**
   * @param {HTMLOListElement} list
   * @param {Actions} actions
   */
  constructor(list, actions) {
    this.#list = list;
    this.#actions = actions;
  }

  /** @param {number} count The number of turns to keep. */
  truncate(count) {
    for (const { root } of this.#items.splice(count)) root.remove();
  }

  /** @param {Turn} turn */
  add(turn) {
    const item = this.#itemOf(turn, this.#items.length);
    this.#items.push(item);
    this.#list.append(item.root);
    if (turn.reply) item.reply.append(turn.reply);
    item.reply.flush();
  }

  /** @param {number} index */
  replyOf(index) {
    return this.#items[index].reply;
  }

  /** Scrolls to a turn and focuses its variant buttons. @param {number} index */
  focusTurn(index) {
    const { root, variants } = this.#items[index];
    root.scrollIntoView({ block: "nearest" });
    const arrows = variants.querySelectorAll("button");
    [...arrows].findLast(({ disabled }) => !disabled)?.focus({ preventScroll: true });
  }

  /** @param {number | null} index The turn whose reply is being generated. */
  setWriting(index) {
    this.#list.setAttribute("aria-busy", String(index !== null));
    this.#items.forEach(({ root }, i) => root.classList.toggle("writing", i === index));
    for (const { root } of this.#items) {
      for (const button of root.querySelectorAll("button")) {
        if (button.dataset.always === undefined) button.disabled = index !== null;
      }
    }
  }

  /**
   * Shows the variants and the statistics of each turn.
   * @param {{ owners: string[], index: number }[]} variants
   * @param {(import("./branches.js").Stats | undefined)[]} stats
   */
  showDetails(variants, stats) {
    this.#items.forEach((item, i) => {
      item.variants.replaceChildren(...this.#variantButtons(i, variants[i]));
      item.stats.textContent = stats[i] ? statsText(stats[i]) : "";
    });
  }

  /**
   * @param {Turn} turn
   * @param {number} index
   * @returns {Item}
   */
  #itemOf(turn, index) {
    const question = questionOf(turn);
    const others = turn.inputs.filter(({ role }) => role !== "user");
    const bubble = element("div", { class: "bubble", dir: "auto" }, question);
    const questionTools = element("div", { class: "tools" });
    const body = element("div", { class: "prose", dir: "auto" });
    const variants = element("span", { class: "variants" });
    const stats = element("p", { class: "stats" });
    const copy = button("Copy", () => copyText(reply.text, copy), { name: "Copy the reply" });
    copy.dataset.always = "";
    const retry = button("Retry", () => this.#actions.retry(index), { name: "Retry the reply" });
    const tools = element("div", { class: "tools" }, variants, copy, retry, stats);
    const reply = new ReplyView(body, () => this.#actions.onChange());
    const questionPart = element(
      "div",
      { class: "question" },
      visuallyHidden("You said"),
      bubble,
      questionTools,
    );
    questionPart.hidden = question === "";
    const root = element(
      "li",
      { class: "turn" },
      ...others.map(({ content }) => instructions(content)),
      questionPart,
      element("div", { class: "answer" }, visuallyHidden("The model replied"), body, tools),
    );
    /** @type {Item} */
    const item = { root, turn, bubble, questionTools, tools, variants, stats, reply };
    questionTools.append(
      button("Edit", () => this.#startEdit(item, index), { name: "Edit message" }),
    );
    return item;
  }

  /**
   * @param {Item} item
   * @param {number} index
   */
  #startEdit({ turn, bubble, questionTools }, index) {
    const label = `edit-${index}`;
    const field = element("textarea", { id: label, dir: "auto", rows: "2" });
    field.value = questionOf(turn);
    const close = () => {
      form.replaceWith(bubble);
      questionTools.hidden = false;
      questionTools.querySelector("button")?.focus();
    };
    const send = element("button", { type: "submit", class: "primary" }, "Send");
    const form = element(
      "form",
      { class: "edit" },
      element("label", { class: "visually-hidden", for: label }, "Edit your message"),
      field,
      element("div", { class: "tools" }, button("Cancel", close, { kind: "" }), send),
    );
    const submit = () => {
      const question = field.value.trim();
      if (question === "") return;
      close();
      this.#actions.edit(index, question);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        if (event.target !== field) return;
        event.preventDefault();
        submit();
      }
    });
    bubble.replaceWith(form);
    questionTools.hidden = true;
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  /**
   * @param {number} turn
   * @param {{ owners: string[], index: number } | undefined} variants
   */
  #variantButtons(turn, variants) {
    if (variants === undefined || variants.owners.length < 2) return [];
    const { owners, index } = variants;
    /** @param {string} symbol @param {string} name @param {number} to */
    const arrow = (symbol, name, to) => {
      const created = button(symbol, () => this.#actions.showVariant(turn, owners[to]), {
        name,
        kind: "arrow",
      });
      created.disabled = to < 0 || to >= owners.length;
      created.dataset.always = "";
      return created;
    };
    const position = `${index + 1} / ${owners.length}`;
    return [
      arrow("‹", "Earlier variant", index - 1),
      element("span", { class: "position" }, visuallyHidden("Variant ", "span"), position),
      arrow("›", "Later variant", index + 1),
    ];
  }
}

/**
 * Creates text that only screen readers present.
 * @param {string} text
 * @param {"h3" | "span"} [tag]
 */
function visuallyHidden(text, tag = "h3") {
  return element(tag, { class: "visually-hidden" }, text);
}

/** @param {string} text */
function instructions(text) {
  return element(
    "details",
    { class: "instructions" },
    element("summary", {}, "System prompt"),
    element("p", { dir: "auto" }, text),
  );
}

/** @param {import("./branches.js").Stats} stats */
function statsText({ tokens, perSecond, first, context, cached }) {
  return [
    tokens === 1 ? "1 token" : `${numberFormat.format(tokens)} tokens`,
    perSecond === null ? "" : `${numberFormat.format(perSecond)} tokens/s`,
    first === null ? "" : `first token after ${numberFormat.format(first)} ms`,
    `context ${numberFormat.format(context)}` +
    (cached > 0 ? `, ${numberFormat.format(cached)} cached` : ""),
  ].filter((part) => part !== "").join(" · ");
}

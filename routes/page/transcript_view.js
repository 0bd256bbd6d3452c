// The turns on the page, with what can be done to each: copy, edit, retry, walk to another variant.

import { button, element } from "./elements.js";
import { copyText } from "./markdown.js";
import { ReplyView } from "./reply_view.js";
import { questionOf } from "./turns.js";

/**
 * @typedef {import("./turns.js").Turn} Turn
 * @typedef {{
 *   retry: (turn: number) => void,
 *   edit: (turn: number, question: string) => void,
 *   walk: (turn: number, owner: string) => void,
 *   changed: () => void,
 * }} Actions `changed`: there is more text.
 * @typedef {{
 *   root: HTMLLIElement, turn: Turn, bubble: HTMLElement, askTools: HTMLElement,
 *   tools: HTMLElement, variants: HTMLElement, stats: HTMLElement, reply: ReplyView,
 * }} Item
 */

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

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

  /** @param {number} count Of turns that stay. */
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

  /** @param {number} index Of the turn to look at, with the focus on its arrows. */
  goTo(index) {
    const { root, variants } = this.#items[index];
    root.scrollIntoView({ block: "nearest" });
    const arrows = variants.querySelectorAll("button");
    [...arrows].findLast(({ disabled }) => !disabled)?.focus({ preventScroll: true });
  }

  /** @param {number | null} index Of the turn that is being written. */
  setWriting(index) {
    this.#list.setAttribute("aria-busy", String(index !== null));
    this.#items.forEach(({ root }, i) => root.classList.toggle("writing", i === index));
    for (const { root } of this.#items) {
      for (const one of root.querySelectorAll("button")) {
        if (one.dataset.always === undefined) one.disabled = index !== null;
      }
    }
  }

  /**
   * Shows the variants of each turn, and how fast its reply came.
   * @param {{ owners: string[], index: number }[]} variants
   * @param {(import("./branches.js").Stats | undefined)[]} stats
   */
  decorate(variants, stats) {
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
    const others = turn.asks.filter(({ role }) => role !== "user");
    const bubble = element("div", { class: "bubble", dir: "auto" }, question);
    const askTools = element("div", { class: "tools" });
    const body = element("div", { class: "prose", dir: "auto" });
    const variants = element("span", { class: "variants" });
    const stats = element("p", { class: "stats" });
    const copy = button("Copy", () => copyText(reply.text, copy), { name: "Copy the reply" });
    copy.dataset.always = "";
    const retry = button("Retry", () => this.#actions.retry(index), { name: "Retry the reply" });
    const tools = element("div", { class: "tools" }, variants, copy, retry, stats);
    const reply = new ReplyView(body, () => this.#actions.changed());
    const ask = element("div", { class: "ask" }, hidden("You said"), bubble, askTools);
    ask.hidden = question === "";
    const root = element(
      "li",
      { class: "turn" },
      ...others.map(({ content }) => instructions(content)),
      ask,
      element("div", { class: "answer" }, hidden("The model replied"), body, tools),
    );
    /** @type {Item} */
    const item = { root, turn, bubble, askTools, tools, variants, stats, reply };
    askTools.append(button("Edit", () => this.#startEdit(item, index), { name: "Edit message" }));
    return item;
  }

  /**
   * @param {Item} item
   * @param {number} index
   */
  #startEdit({ turn, bubble, askTools }, index) {
    const label = `edit-${index}`;
    const field = element("textarea", { id: label, dir: "auto", rows: "2" });
    field.value = questionOf(turn);
    const end = () => {
      form.replaceWith(bubble);
      askTools.hidden = false;
      askTools.querySelector("button")?.focus();
    };
    const send = element("button", { type: "submit", class: "primary" }, "Send");
    const form = element(
      "form",
      { class: "edit" },
      element("label", { class: "unseen", for: label }, "Edit your message"),
      field,
      element("div", { class: "tools" }, button("Cancel", end, { kind: "" }), send),
    );
    const submit = () => {
      const question = field.value.trim();
      if (question === "") return;
      end();
      this.#actions.edit(index, question);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        end();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        if (event.target !== field) return;
        event.preventDefault();
        submit();
      }
    });
    bubble.replaceWith(form);
    askTools.hidden = true;
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
    /** @param {string} sign @param {string} name @param {number} to */
    const arrow = (sign, name, to) => {
      const made = button(sign, () => this.#actions.walk(turn, owners[to]), {
        name,
        kind: "arrow",
      });
      made.disabled = to < 0 || to >= owners.length;
      made.dataset.always = "";
      return made;
    };
    const place = `${index + 1} / ${owners.length}`;
    return [
      arrow("‹", "Earlier variant", index - 1),
      element("span", { class: "place" }, hidden("Variant ", "span"), place),
      arrow("›", "Later variant", index + 1),
    ];
  }
}

/**
 * For screen readers.
 * @param {string} text
 * @param {"h3" | "span"} [tag]
 */
function hidden(text, tag = "h3") {
  return element(tag, { class: "unseen" }, text);
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
    tokens === 1 ? "1 token" : `${numbers.format(tokens)} tokens`,
    perSecond === null ? "" : `${numbers.format(perSecond)} tokens/s`,
    first === null ? "" : `first after ${numbers.format(first)} ms`,
    `context ${numbers.format(context)}` + (cached > 0 ? `, ${numbers.format(cached)} cached` : ""),
  ].filter((part) => part !== "").join(" · ");
}

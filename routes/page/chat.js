// The conversation that is shown: where it stands, and what is done to it. The address names the
// state to go on from, always, so that a reload or a link goes on there.

import { BranchTree } from "./branches.js";
import { byId } from "./elements.js";
import { conversationOf, conversationWith, forget, remember } from "./library.js";
import { hideNotice, showNotice } from "./notice.js";
import { patiently } from "./patience.js";
import { showPlace } from "./place_view.js";
import { follow, goToEnd } from "./scrolling.js";
import { systemPrompt } from "./settings.js";
import { takeTurn } from "./take_turn.js";
import { TranscriptView } from "./transcript_view.js";
import { asksWith, titleOf, turnsOf } from "./turns.js";
import { ApiError, getState } from "./worker_api.js";

/**
 * @typedef {import("./turns.js").Turn} Turn
 * @typedef {import("./turns.js").Entry} Entry
 * @typedef {import("./take_turn.js").Plan} Plan
 */

export class Chat {
  /** @type {import("./library.js").Conversation | null} */
  conversation = null;
  /** @type {string | null} The state to go on from. */
  current = null;
  /** @type {Turn[]} */
  turns = [];
  /** Whether the last reply is unfinished. */
  open = false;
  /** @type {AbortController | null} Ends what is under way. */
  underWay = null;
  view;
  /** @type {string | null} The state that is being looked up. */
  #opening = null;

  constructor() {
    this.view = new TranscriptView(byId("log", HTMLOListElement), {
      retry: (turn) => this.retry(turn),
      edit: (turn, question) => this.edit(turn, question),
      walk: (turn, owner) => this.walk(turn, owner),
      changed: follow,
    });
  }

  newChat() {
    const { underWay } = this;
    this.stop();
    // What was under way is not shown any more, whatever still comes of it.
    if (underWay) this.end(underWay);
    hideNotice();
    this.conversation = null;
    this.show(null, [], false);
    byId("input", HTMLTextAreaElement).focus();
  }

  stop() {
    this.underWay?.abort();
  }

  /**
   * Shows the conversation that leads to a state, as the store has it; tells whether it could.
   * @param {string} id
   */
  async openState(id) {
    this.stop();
    hideNotice();
    const controller = this.begin();
    this.#opening = id;
    const { signal } = controller;
    try {
      const state = await patiently(() => getState(id, signal), { signal });
      if (this.underWay !== controller) return false;
      this.conversation = conversationWith(id);
      this.show(id, turnsOf(state.transcript), state.open);
      this.note(id, { parent: null, base: 0, turns: this.turns.length });
      return true;
    } catch (error) {
      if (this.underWay === controller) this.#showOpenProblem(id, error);
      return false;
    } finally {
      if (this.#opening === id) this.#opening = null;
      this.end(controller);
    }
  }

  /**
   * Goes to where the address is.
   * @param {string} hash
   */
  goToAddress(hash) {
    const id = hash.slice(1);
    if (id === (this.#opening ?? this.current ?? "")) return;
    if (id === "") this.newChat();
    else void this.openState(id);
  }

  /**
   * @param {string} id
   * @param {unknown} error
   */
  #showOpenProblem(id, error) {
    if (!(error instanceof ApiError)) return;
    showNotice(
      error.message,
      error.stateGone
        ? { label: "New chat", act: () => this.newChat() }
        : { label: "Try again", act: () => void this.openState(id) },
    );
  }

  /** @param {string} text */
  send(text) {
    const asks = [{ role: "user", content: text }];
    const system = systemPrompt();
    if (this.turns.length === 0 && system !== "") {
      asks.unshift({ role: "system", content: system });
    }
    const { current, turns, conversation } = this;
    // Where the last reply could not be stored, what is shown is said again.
    const stored = current === null || conversation?.nodes[current]?.turns === turns.length;
    return this.take({ turn: turns.length, asks, from: stored ? current : null, parent: current });
  }

  /** Writes on a reply that was cut short. */
  goOn() {
    const { current: from, turns } = this;
    return this.take({ turn: turns.length - 1, asks: [], from, parent: from, goesOn: true });
  }

  /** @param {number} turn */
  retry(turn) {
    return this.take({ ...this.#fork(turn, this.turns[turn].asks), again: true });
  }

  /**
   * @param {number} turn
   * @param {string} question
   */
  edit(turn, question) {
    return this.take(this.#fork(turn, asksWith(this.turns[turn], question)));
  }

  /**
   * @param {number} turn
   * @param {Entry[]} asks
   * @returns {Plan}
   */
  #fork(turn, asks) {
    if (turn === 0) return { turn, asks, from: null, parent: null };
    const { tree, current } = this;
    const from = tree && current ? tree.stateAfter(current, turn) : null;
    // Of a conversation that came by a link the states in between are not known: what was said is
    // sent instead, and the worker finds the longest part of it that it knows.
    return { turn, asks, from, parent: from ?? current };
  }

  /** @param {Plan} plan */
  async take(plan) {
    if (this.underWay) return;
    await takeTurn(this, plan);
  }

  /**
   * Goes to another variant of a turn.
   * @param {number} turn
   * @param {string} owner
   */
  async walk(turn, owner) {
    const { tree } = this;
    if (tree === null) return;
    if (await this.openState(tree.newestWith(turn, owner))) this.view.goTo(turn);
  }

  /** Goes to the newest state after the one that is shown. */
  async toLatest() {
    if (this.tree && this.current) await this.openState(this.tree.newestAfter(this.current));
  }

  get tree() {
    return this.conversation && new BranchTree(this.conversation.nodes);
  }

  /** Something is under way from here on, until it ends or is stopped. */
  begin() {
    this.underWay = new AbortController();
    this.#showBusy(true);
    return this.underWay;
  }

  /** @param {AbortController} controller What ends, unless something else is under way already. */
  end(controller) {
    if (this.underWay !== controller) return;
    this.underWay = null;
    this.view.setWriting(null);
    this.#showBusy(false);
    follow();
  }

  /** @param {boolean} busy */
  #showBusy(busy) {
    document.body.classList.toggle("busy", busy);
    byId("send", HTMLButtonElement).hidden = busy;
    byId("stop", HTMLButtonElement).hidden = !busy;
    showPlace(this);
  }

  /**
   * @param {string | null} id
   * @param {Turn[]} turns
   * @param {boolean} open
   */
  show(id, turns, open) {
    this.turns = turns;
    this.view.truncate(0);
    for (const turn of turns) this.view.add(turn);
    this.stand(id, open);
    showPlace(this);
    goToEnd();
  }

  /**
   * The conversation stands at this state now.
   * @param {string | null} id
   * @param {boolean} open
   */
  stand(id, open) {
    this.current = id;
    this.open = open;
    const hash = id === null ? "" : `#${id}`;
    if (location.hash !== hash) history.replaceState(null, "", location.pathname + hash);
  }

  /**
   * Keeps a state's place in the tree, and the conversation as used just now.
   * @param {string} id
   * @param {Omit<import("./branches.js").BranchNode, "at">} node Where it is new.
   */
  note(id, node) {
    const at = Date.now();
    this.conversation ??= { key: id, title: titleOf(this.turns), at, current: id, nodes: {} };
    // Another tab may have gone on with it as well.
    const { key, nodes } = this.conversation;
    this.conversation.nodes = { ...conversationOf(key)?.nodes, ...nodes };
    this.conversation.nodes[id] ??= { ...node, at };
    this.conversation.at = at;
    this.conversation.current = id;
    remember(this.conversation);
    showPlace(this);
  }

  /**
   * A state that could not be stored: the conversation is where it was.
   * @param {string} id
   * @param {{ id: string | null, open: boolean }} before
   */
  drop(id, before) {
    const { conversation } = this;
    this.stand(before.id, before.open);
    if (conversation === null) return;
    delete conversation.nodes[id];
    if (before.id !== null) {
      conversation.current = before.id;
      remember(conversation);
    } else if (Object.keys(conversation.nodes).length === 0) {
      forget(conversation.key);
      this.conversation = null;
    }
  }

  /**
   * @param {string} id
   * @param {import("./branches.js").Stats} stats
   */
  keepStats(id, stats) {
    const node = this.conversation?.nodes[id];
    if (!this.conversation || !node) return;
    node.stats = stats;
    remember(this.conversation);
  }
}

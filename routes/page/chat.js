// The displayed conversation and the actions on it. The page's address always names the state that
// the next message resumes, so that a reload or a shared link resumes there.

import { hideBanner, showBanner } from "./banner.js";
import { BranchTree } from "./branches.js";
import {
  deleteConversation,
  findConversation,
  findConversationByState,
  saveConversation,
} from "./conversation_store.js";
import { showConversation } from "./conversation_view.js";
import { byId } from "./elements.js";
import { withRetries } from "./retry.js";
import { runTurn } from "./run_turn.js";
import { follow, goToEnd } from "./scrolling.js";
import { systemPrompt } from "./settings.js";
import { TranscriptView } from "./transcript_view.js";
import { inputsWithQuestion, titleOf, turnsFromTranscript } from "./turns.js";
import { ApiError, getState } from "./worker_api.js";

/**
 * @typedef {import("./turns.js").Turn} Turn
 * @typedef {import("./turns.js").Message} Message
 * @typedef {import("./run_turn.js").TurnPlan} TurnPlan
 */

export class Chat {
  /** @type {import("./conversation_store.js").Conversation | null} */
  conversation = null;
  /** @type {string | null} The state that the next message resumes. */
  stateId = null;
  /** @type {Turn[]} */
  turns = [];
  /** Whether the last reply is incomplete and can be continued. */
  incomplete = false;
  /** @type {AbortController | null} Cancels the operation in progress. */
  inFlight = null;
  view;
  /** @type {string | null} The state that is being loaded. */
  #loadingStateId = null;

  constructor() {
    this.view = new TranscriptView(byId("log", HTMLOListElement), {
      retry: (turn) => this.retry(turn),
      edit: (turn, question) => this.edit(turn, question),
      showVariant: (turn, owner) => this.showVariant(turn, owner),
      onChange: follow,
    });
  }

  newChat() {
    const { inFlight } = this;
    this.stop();
    // Later results of the cancelled operation must not be displayed.
    if (inFlight) this.end(inFlight);
    hideBanner();
    this.conversation = null;
    this.show(null, [], false);
    byId("input", HTMLTextAreaElement).focus();
  }

  stop() {
    this.inFlight?.abort();
  }

  /**
   * Loads a state from the worker and shows its conversation; returns whether that succeeded.
   * @param {string} id
   */
  async openState(id) {
    this.stop();
    hideBanner();
    const controller = this.begin();
    this.#loadingStateId = id;
    const { signal } = controller;
    try {
      const state = await withRetries(() => getState(id, signal), { signal });
      if (this.inFlight !== controller) return false;
      this.conversation = findConversationByState(id);
      this.show(id, turnsFromTranscript(state.transcript), state.open);
      this.recordState(id, { parent: null, base: 0, turns: this.turns.length });
      return true;
    } catch (error) {
      if (this.inFlight === controller) this.#showLoadError(id, error);
      return false;
    } finally {
      if (this.#loadingStateId === id) this.#loadingStateId = null;
      this.end(controller);
    }
  }

  /**
   * Shows what an address names: a state, or a new chat if the hash is empty.
   * @param {string} hash
   */
  navigate(hash) {
    const id = hash.slice(1);
    if (id === (this.#loadingStateId ?? this.stateId ?? "")) return;
    if (id === "") this.newChat();
    else void this.openState(id);
  }

  /**
   * @param {string} id
   * @param {unknown} error
   */
  #showLoadError(id, error) {
    if (!(error instanceof ApiError)) return;
    showBanner(
      error.message,
      error.isStateMissing
        ? { label: "New chat", onAction: () => this.newChat() }
        : { label: "Try again", onAction: () => void this.openState(id) },
    );
  }

  /** @param {string} text */
  send(text) {
    const inputs = [{ role: "user", content: text }];
    const system = systemPrompt();
    if (this.turns.length === 0 && system !== "") {
      inputs.unshift({ role: "system", content: system });
    }
    const { stateId, turns, conversation } = this;
    // If the last reply could not be stored, the request sends the displayed messages instead.
    const stored = stateId === null || conversation?.nodes[stateId]?.turns === turns.length;
    const resumeFrom = stored ? stateId : null;
    return this.runTurn({ turn: turns.length, inputs, resumeFrom, parent: stateId });
  }

  /** Continues an incomplete reply. */
  continueReply() {
    const { stateId, turns } = this;
    return this.runTurn({
      turn: turns.length - 1,
      inputs: [],
      resumeFrom: stateId,
      parent: stateId,
      continues: true,
    });
  }

  /** @param {number} turn */
  retry(turn) {
    return this.runTurn({ ...this.#planFork(turn, this.turns[turn].inputs), isRetry: true });
  }

  /**
   * @param {number} turn
   * @param {string} question
   */
  edit(turn, question) {
    return this.runTurn(this.#planFork(turn, inputsWithQuestion(this.turns[turn], question)));
  }

  /**
   * @param {number} turn
   * @param {Message[]} inputs
   * @returns {TurnPlan}
   */
  #planFork(turn, inputs) {
    if (turn === 0) return { turn, inputs, resumeFrom: null, parent: null };
    const { tree, stateId } = this;
    const resumeFrom = tree && stateId ? tree.stateAfter(stateId, turn) : null;
    // The intermediate states of a conversation that was opened by a link are unknown. The request
    // then sends the messages, and the worker resumes from the longest prefix that it has stored.
    return { turn, inputs, resumeFrom, parent: resumeFrom ?? stateId };
  }

  /** @param {TurnPlan} plan */
  async runTurn(plan) {
    if (this.inFlight) return;
    await runTurn(this, plan);
  }

  /**
   * Shows another variant of a turn.
   * @param {number} turn
   * @param {string} owner
   */
  async showVariant(turn, owner) {
    const { tree } = this;
    if (tree === null) return;
    if (await this.openState(tree.newestWithVariant(turn, owner))) this.view.focusTurn(turn);
  }

  /** Shows the newest state that continues the displayed one. */
  async showLatest() {
    if (this.tree && this.stateId) await this.openState(this.tree.newestAfter(this.stateId));
  }

  get tree() {
    return this.conversation && new BranchTree(this.conversation.nodes);
  }

  /** Marks the chat as busy until `end`, and returns the controller that cancels the operation. */
  begin() {
    this.inFlight = new AbortController();
    this.#showBusy(true);
    return this.inFlight;
  }

  /** @param {AbortController} controller Ignored if another operation has started since. */
  end(controller) {
    if (this.inFlight !== controller) return;
    this.inFlight = null;
    this.view.setWriting(null);
    this.#showBusy(false);
    follow();
  }

  /** @param {boolean} busy */
  #showBusy(busy) {
    document.body.classList.toggle("busy", busy);
    byId("send", HTMLButtonElement).hidden = busy;
    byId("stop", HTMLButtonElement).hidden = !busy;
    showConversation(this);
  }

  /**
   * @param {string | null} id
   * @param {Turn[]} turns
   * @param {boolean} incomplete
   */
  show(id, turns, incomplete) {
    this.turns = turns;
    this.view.truncate(0);
    for (const turn of turns) this.view.add(turn);
    this.setState(id, incomplete);
    showConversation(this);
    goToEnd();
  }

  /**
   * Sets the state that the next message resumes, in the address as well.
   * @param {string | null} id
   * @param {boolean} incomplete
   */
  setState(id, incomplete) {
    this.stateId = id;
    this.incomplete = incomplete;
    const hash = id === null ? "" : `#${id}`;
    if (location.hash !== hash) history.replaceState(null, "", location.pathname + hash);
  }

  /**
   * Makes a state the conversation's current one, and adds it to the tree if it is new.
   * @param {string} id
   * @param {Omit<import("./branches.js").BranchNode, "at">} node Used if the state is new.
   */
  recordState(id, node) {
    const at = Date.now();
    this.conversation ??= { key: id, title: titleOf(this.turns), at, current: id, nodes: {} };
    // Another tab may have added nodes as well.
    const { key, nodes } = this.conversation;
    this.conversation.nodes = { ...findConversation(key)?.nodes, ...nodes };
    this.conversation.nodes[id] ??= { ...node, at };
    this.conversation.at = at;
    this.conversation.current = id;
    saveConversation(this.conversation);
    showConversation(this);
  }

  /**
   * Removes a state that could not be stored, and returns to the previous one.
   * @param {string} id
   * @param {{ id: string | null, incomplete: boolean }} before
   */
  discardState(id, before) {
    const { conversation } = this;
    this.setState(before.id, before.incomplete);
    if (conversation === null) return;
    delete conversation.nodes[id];
    if (before.id !== null) {
      conversation.current = before.id;
      saveConversation(conversation);
    } else if (Object.keys(conversation.nodes).length === 0) {
      deleteConversation(conversation.key);
      this.conversation = null;
    }
  }

  /**
   * @param {string} id
   * @param {import("./branches.js").Stats} stats
   */
  saveStats(id, stats) {
    const node = this.conversation?.nodes[id];
    if (!this.conversation || !node) return;
    node.stats = stats;
    saveConversation(this.conversation);
  }
}

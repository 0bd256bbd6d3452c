// Runs one turn: sends the request, shows the streamed reply, and recovers when the stream breaks,
// the state is missing or the worker restarts.

import { hideBanner, showBanner } from "./banner.js";
import { byId } from "./elements.js";
import { withRetries } from "./retry.js";
import { goToEnd } from "./scrolling.js";
import { sampling } from "./settings.js";
import { messagesFromTurns, questionOf, turnsFromTranscript } from "./turns.js";
import { ApiError, getState, startReply } from "./worker_api.js";

/**
 * @typedef {import("./chat.js").Chat} Chat
 * @typedef {{
 *   turn: number, inputs: import("./turns.js").Message[], resumeFrom: string | null,
 *   parent: string | null, continues?: boolean, isRetry?: boolean, reread?: boolean,
 * }} TurnPlan `turn`: its index, from 0. `resumeFrom`: the state that the request resumes; null sends
 *   the displayed messages. `parent`: the parent node in the branch tree. `continues`: the turn
 *   continues an incomplete reply. `isRetry`: the reply must differ from the previous one, so the
 *   request omits the seed. `reread`: the worker reprocesses the transcript of a state that another
 *   model computed.
 * @typedef {{ id: string | null, turns: import("./turns.js").Turn[], incomplete: boolean }} Snapshot
 *   What the chat showed before the turn.
 */

/** How many times, and at which interval, to poll for the stored text of a stopped reply. */
const MAX_POLLS = 20;
const POLL_INTERVAL_MS = 100;

/** Screen readers announce at most this many characters of a finished reply. */
const MAX_ANNOUNCED_CHARS = 2_000;

const CONNECTION_LOST = "The connection was lost. The reply resumes when the worker is back.";

/**
 * @param {Chat} chat
 * @param {TurnPlan} plan
 */
export async function runTurn(chat, plan) {
  hideBanner();
  const controller = chat.begin();
  const { signal } = controller;
  const before = { id: chat.stateId, turns: chat.turns, incomplete: chat.incomplete };
  /** @type {string | null} The id of the new state, once the worker has sent it. */
  let newState = null;
  showTurnStart(chat, plan);
  try {
    let sentAt = 0;
    const { stateId, events } = await withRetries(() => {
      sentAt = performance.now();
      return startReply(requestBody(plan, before), signal);
    }, { signal });
    newState = stateId;
    if (newState !== null) enterState(chat, newState, plan);
    const warning = await showReply(chat, plan, { events, sentAt, controller });
    if (warning === null || chat.inFlight !== controller) return;
    // The reply is complete, but the worker could not store its state.
    if (newState !== null) chat.discardState(newState, before);
    showBanner(warning, { label: "Try again", onAction: () => repeatTurn(chat, plan, before) });
  } catch (error) {
    // The user may have opened another conversation.
    if (chat.inFlight !== controller) return;
    if (newState === null) undoTurn(chat, plan, { error, before, signal });
    else if (signal.aborted) await showStoppedReply(chat, newState, controller);
    else await resumeReply(chat, newState, { error, controller });
  } finally {
    chat.end(controller);
  }
}

/**
 * @param {Chat} chat
 * @param {TurnPlan} plan
 */
function showTurnStart(chat, { turn, inputs, continues }) {
  const { view } = chat;
  if (!continues) {
    const newTurn = { inputs, reply: null };
    chat.turns = [...chat.turns.slice(0, turn), newTurn];
    view.truncate(turn);
    view.add(newTurn);
  }
  byId("welcome", HTMLElement).hidden = true;
  byId("announce", HTMLElement).textContent = "";
  view.setWriting(turn);
  // The button that had the focus may be removed. On touch screens, focusing the message field
  // would open the on-screen keyboard.
  if (matchMedia("(pointer: fine)").matches) byId("input", HTMLTextAreaElement).focus();
  goToEnd();
}

/**
 * @param {TurnPlan} plan
 * @param {Snapshot} before
 */
function requestBody({ turn, inputs, resumeFrom, isRetry, continues, reread }, { turns }) {
  const { seed, ...parameters } = sampling();
  const history = resumeFrom === null && !continues ? messagesFromTurns(turns.slice(0, turn)) : [];
  return {
    model: "default",
    messages: [...history, ...inputs],
    ...parameters,
    // The same seed would produce the same reply.
    ...(seed === undefined || isRetry ? {} : { seed }),
    ...(resumeFrom === null ? {} : { state_id: resumeFrom }),
    ...(reread ? { on_mismatch: "reread" } : {}),
  };
}

/**
 * @param {Chat} chat
 * @param {string} id
 * @param {TurnPlan} plan
 */
function enterState(chat, id, { turn, parent, continues }) {
  chat.setState(id, true);
  chat.recordState(id, {
    parent,
    base: turn,
    turns: turn + 1,
    ...(continues ? { goesOn: true } : {}),
  });
}

/**
 * Shows a reply while it streams, and measures its speed.
 * @param {Chat} chat
 * @param {TurnPlan} plan
 * @param {{ events: AsyncIterable<any>, sentAt: number, controller: AbortController }} options
 * @returns {Promise<string | null>} Why the worker could not store the state; null if it did.
 */
async function showReply(chat, plan, { events, sentAt, controller }) {
  const reply = chat.view.replyOf(plan.turn);
  let [firstAt, lastAt] = [0, 0];
  /** @type {string | null} */
  let warning = null;
  for await (const { choices, usage, ...event } of events) {
    if (chat.inFlight !== controller) return null;
    const choice = choices[0];
    if (choice?.delta.content) {
      lastAt = performance.now();
      firstAt ||= lastAt;
      reply.append(choice.delta.content);
    }
    if (choice?.finish_reason) {
      reply.flush();
      chat.turns = chat.turns.with(plan.turn, { ...chat.turns[plan.turn], reply: reply.text });
      warning = event.warning ?? null;
      if (event.state_id) chat.setState(event.state_id, choice.finish_reason === "length");
      byId("announce", HTMLElement).textContent = reply.text.slice(0, MAX_ANNOUNCED_CHARS);
    }
    if (usage && chat.stateId !== null && warning === null) {
      const { completion_tokens: tokens, total_tokens: context, prompt_tokens_details } = usage;
      // A reply that arrived in one chunk has no interval of its own: it is measured from the time
      // of the request.
      const elapsedMs = lastAt > firstAt ? lastAt - firstAt : lastAt - sentAt;
      const measured = lastAt > firstAt ? tokens - 1 : tokens;
      chat.saveStats(chat.stateId, {
        tokens,
        perSecond: lastAt > 0 && measured > 0 ? (1000 * measured) / elapsedMs : null,
        first: firstAt > 0 ? Math.round(firstAt - sentAt) : null,
        context,
        cached: prompt_tokens_details.cached_tokens,
      });
    }
  }
  return warning;
}

/**
 * Restores what was shown before a turn that did not start, and reports why it did not.
 * @param {Chat} chat
 * @param {TurnPlan} plan
 * @param {{ error: unknown, before: Snapshot, signal: AbortSignal }} options
 */
function undoTurn(chat, plan, { error, before, signal }) {
  chat.show(before.id, before.turns, before.incomplete);
  // The user must not have to type the message again.
  const input = byId("input", HTMLTextAreaElement);
  if (!plan.isRetry && input.value === "") input.value = questionOf(plan);
  if (signal.aborted) return;
  if (!(error instanceof ApiError)) throw error;
  const { label, change } = remedyOf(error, plan);
  showBanner(error.message, {
    label,
    onAction: () => repeatTurn(chat, { ...plan, ...change }, before),
  });
}

/**
 * Returns the action to offer for an error that is not transient.
 * @param {ApiError} error
 * @param {TurnPlan} plan
 * @returns {{ label: string, change?: Partial<TurnPlan> }}
 */
function remedyOf(error, { resumeFrom, continues }) {
  if (error.code === "model_mismatch") {
    return { label: "Reprocess with this model", change: { reread: true } };
  }
  // The page still shows the messages, so the request can send them.
  if (error.isStateMissing && resumeFrom !== null && !continues) {
    return { label: "Resume from the text", change: { resumeFrom: null } };
  }
  return { label: "Try again" };
}

/**
 * @param {Chat} chat
 * @param {TurnPlan} plan
 * @param {Snapshot} before
 */
function repeatTurn(chat, plan, before) {
  if (chat.inFlight || chat.stateId !== before.id) return;
  const input = byId("input", HTMLTextAreaElement);
  if (input.value.trim() === questionOf(plan)) input.value = "";
  if (chat.turns !== before.turns) chat.show(before.id, before.turns, before.incomplete);
  void chat.runTurn(plan);
}

/**
 * Shows a stopped reply as the worker stored it, once that has at least the text already shown.
 * @param {Chat} chat
 * @param {string} id
 * @param {AbortController} controller
 */
async function showStoppedReply(chat, id, controller) {
  const shownLength = chat.view.replyOf(chat.turns.length - 1).text.length;
  for (let poll = 0; poll < MAX_POLLS; poll++) {
    const state = await getState(id).catch(() => null);
    if (chat.inFlight !== controller) return;
    const turns = turnsFromTranscript(state?.transcript ?? []);
    if (state && (turns.at(-1)?.reply ?? "").length >= shownLength) {
      return chat.show(id, turns, state.open);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
  showBanner("The stopped reply could not be loaded.", {
    label: "Try again",
    onAction: () => void chat.openState(id),
  });
}

/**
 * Continues an interrupted reply from its stored text when the worker is back.
 * @param {Chat} chat
 * @param {string} id
 * @param {{ error: unknown, controller: AbortController }} options
 */
async function resumeReply(chat, id, { error, controller }) {
  const { signal } = controller;
  if (!(error instanceof ApiError)) throw error;
  if (!error.isTransient) {
    chat.incomplete = true;
    return showBanner(error.message, {
      label: "Continue",
      onAction: () => void reloadAndContinue(chat, id),
    });
  }
  try {
    const state = await withRetries(() => getState(id, signal), {
      signal,
      unreachableMessage: CONNECTION_LOST,
    });
    if (chat.inFlight !== controller) return;
    chat.show(id, turnsFromTranscript(state.transcript), state.open);
    chat.end(controller);
    if (state.open) await chat.continueReply();
  } catch (loadError) {
    if (chat.inFlight !== controller) return;
    chat.incomplete = true;
    if (loadError instanceof ApiError) {
      showBanner(loadError.message, {
        label: "Try again",
        onAction: () => void chat.openState(id),
      });
    }
  }
}

/**
 * Continues from the stored text, which may be longer or shorter than the text shown.
 * @param {Chat} chat
 * @param {string} id
 */
async function reloadAndContinue(chat, id) {
  if (await chat.openState(id) && chat.incomplete) await chat.continueReply();
}

// One turn from what is said to the end of the reply, through whatever happens to the worker.

import { byId } from "./elements.js";
import { hideNotice, showNotice } from "./notice.js";
import { patiently } from "./patience.js";
import { goToEnd } from "./scrolling.js";
import { sampling } from "./settings.js";
import { messagesOf, questionOf, turnsOf } from "./turns.js";
import { ApiError, getState, startReply } from "./worker_api.js";

/**
 * @typedef {import("./chat.js").Chat} Chat
 * @typedef {{
 *   turn: number, asks: import("./turns.js").Entry[], from: string | null, parent: string | null,
 *   goesOn?: boolean, again?: boolean, reread?: boolean,
 * }} Plan A turn to take: which one (from 0), what is said, the state that it answers, and its place
 *   in the tree. `goesOn`: the reply there is written on. `again`: not the same reply once more.
 *   `reread`: a state of another model is read again as text.
 * @typedef {{ id: string | null, turns: import("./turns.js").Turn[], open: boolean }} Place
 */

/** How often it is looked whether a stopped reply has been stored, and milliseconds between. */
const LOOKS = 20;
const LOOK_EVERY = 100;

/** Characters of a reply that a screen reader is told at its end. */
const ANNOUNCED = 2_000;

const LOST = "The connection broke off. The reply goes on when the worker is back.";

/**
 * @param {Chat} chat
 * @param {Plan} plan
 */
export async function takeTurn(chat, plan) {
  hideNotice();
  const controller = chat.begin();
  const { signal } = controller;
  const before = { id: chat.current, turns: chat.turns, open: chat.open };
  /** @type {string | null} */
  let begun = null;
  showBeginning(chat, plan);
  try {
    let sent = 0;
    const { stateId, events } = await patiently(() => {
      sent = performance.now();
      return startReply(bodyOf(plan, before), signal);
    }, { signal });
    begun = stateId;
    if (begun !== null) standAt(chat, begun, plan);
    const warning = await showReply(chat, plan, { events, sent, controller });
    if (warning === null || chat.underWay !== controller) return;
    // The reply is here, and the conversation still where it was.
    if (begun !== null) chat.drop(begun, before);
    showNotice(warning, { label: "Try again", act: () => redo(chat, plan, before) });
  } catch (error) {
    // Another conversation may be shown by now.
    if (chat.underWay !== controller) return;
    if (begun === null) fail(chat, plan, { error, before, signal });
    else if (signal.aborted) await settle(chat, begun, controller);
    else await recover(chat, begun, { error, controller });
  } finally {
    chat.end(controller);
  }
}

/**
 * @param {Chat} chat
 * @param {Plan} plan
 */
function showBeginning(chat, { turn, asks, goesOn }) {
  const { view } = chat;
  if (!goesOn) {
    const begun = { asks, reply: null };
    chat.turns = [...chat.turns.slice(0, turn), begun];
    view.truncate(turn);
    view.add(begun);
  }
  byId("welcome", HTMLElement).hidden = true;
  byId("announce", HTMLElement).textContent = "";
  view.setWriting(turn);
  // The button that was pressed may be gone. Where a finger did it, no keyboard has to open.
  if (matchMedia("(pointer: fine)").matches) byId("input", HTMLTextAreaElement).focus();
  goToEnd();
}

/**
 * @param {Plan} plan
 * @param {Place} before
 */
function bodyOf({ turn, asks, from, again, goesOn, reread }, { turns }) {
  const { seed, ...chosen } = sampling();
  const history = from === null && !goesOn ? messagesOf(turns.slice(0, turn)) : [];
  return {
    model: "default",
    messages: [...history, ...asks],
    ...chosen,
    // The same seed would give the same reply.
    ...(seed === undefined || again ? {} : { seed }),
    ...(from === null ? {} : { state_id: from }),
    ...(reread ? { on_mismatch: "reread" } : {}),
  };
}

/**
 * @param {Chat} chat
 * @param {string} id
 * @param {Plan} plan
 */
function standAt(chat, id, { turn, parent, goesOn }) {
  chat.stand(id, true);
  chat.note(id, { parent, base: turn, turns: turn + 1, ...(goesOn ? { goesOn } : {}) });
}

/**
 * Shows a streamed reply as it comes, and how fast it came; returns why it is not stored, or null.
 * @param {Chat} chat
 * @param {Plan} plan
 * @param {{ events: AsyncIterable<any>, sent: number, controller: AbortController }} options
 * @returns {Promise<string | null>}
 */
async function showReply(chat, plan, { events, sent, controller }) {
  const reply = chat.view.replyOf(plan.turn);
  let [first, last] = [0, 0];
  /** @type {string | null} */
  let warning = null;
  for await (const { choices, usage, ...event } of events) {
    if (chat.underWay !== controller) return null;
    const choice = choices[0];
    if (choice?.delta.content) {
      last = performance.now();
      first ||= last;
      reply.append(choice.delta.content);
    }
    if (choice?.finish_reason) {
      reply.flush();
      chat.turns = chat.turns.with(plan.turn, { ...chat.turns[plan.turn], reply: reply.text });
      warning = event.warning ?? null;
      if (event.state_id) chat.stand(event.state_id, choice.finish_reason === "length");
      byId("announce", HTMLElement).textContent = reply.text.slice(0, ANNOUNCED);
    }
    if (usage && chat.current !== null && warning === null) {
      const { completion_tokens: tokens, total_tokens: context, prompt_tokens_details } = usage;
      // A reply that came in one piece is measured from when it was asked for.
      const milliseconds = last > first ? last - first : last - sent;
      const measured = last > first ? tokens - 1 : tokens;
      chat.keepStats(chat.current, {
        tokens,
        perSecond: last > 0 && measured > 0 ? (1000 * measured) / milliseconds : null,
        first: first > 0 ? Math.round(first - sent) : null,
        context,
        cached: prompt_tokens_details.cached_tokens,
      });
    }
  }
  return warning;
}

/**
 * The turn has not begun: all is as before, and it is told why.
 * @param {Chat} chat
 * @param {Plan} plan
 * @param {{ error: unknown, before: Place, signal: AbortSignal }} options
 */
function fail(chat, plan, { error, before, signal }) {
  chat.show(before.id, before.turns, before.open);
  // What was typed is not lost.
  const input = byId("input", HTMLTextAreaElement);
  if (!plan.again && input.value === "") input.value = questionOf({ ...plan, reply: null });
  if (signal.aborted) return;
  if (!(error instanceof ApiError)) throw error;
  const { label, change } = remedyOf(error, plan);
  showNotice(error.message, { label, act: () => redo(chat, { ...plan, ...change }, before) });
}

/**
 * What may help against an error that does not pass by itself.
 * @param {ApiError} error
 * @param {Plan} plan
 * @returns {{ label: string, change?: Partial<Plan> }}
 */
function remedyOf(error, { from, goesOn }) {
  if (error.code === "model_mismatch") {
    return { label: "Read it again with this model", change: { reread: true } };
  }
  // What was said is on the page: it is read again.
  if (error.stateGone && from !== null && !goesOn) {
    return { label: "Go on from the text", change: { from: null } };
  }
  return { label: "Try again" };
}

/**
 * @param {Chat} chat
 * @param {Plan} plan
 * @param {Place} before
 */
function redo(chat, plan, before) {
  if (chat.underWay || chat.current !== before.id) return;
  const input = byId("input", HTMLTextAreaElement);
  if (input.value.trim() === questionOf({ ...plan, reply: null })) input.value = "";
  if (chat.turns !== before.turns) chat.show(before.id, before.turns, before.open);
  void chat.take(plan);
}

/**
 * A reply that was stopped is shown as the store has it, once that is all that was seen of it.
 * @param {Chat} chat
 * @param {string} id
 * @param {AbortController} controller
 */
async function settle(chat, id, controller) {
  const seen = chat.view.replyOf(chat.turns.length - 1).text.length;
  for (let look = 0; look < LOOKS; look++) {
    const state = await getState(id).catch(() => null);
    if (chat.underWay !== controller) return;
    const turns = turnsOf(state?.transcript ?? []);
    if (state && (turns.at(-1)?.reply ?? "").length >= seen) {
      return chat.show(id, turns, state.open);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  showNotice("The stopped reply could not be looked up.", {
    label: "Try again",
    act: () => void chat.openState(id),
  });
}

/**
 * A reply that broke off goes on from what the store has of it, when the worker is back.
 * @param {Chat} chat
 * @param {string} id
 * @param {{ error: unknown, controller: AbortController }} options
 */
async function recover(chat, id, { error, controller }) {
  const { signal } = controller;
  if (!(error instanceof ApiError)) throw error;
  if (!error.passes) {
    chat.open = true;
    return showNotice(error.message, { label: "Continue", act: () => void writeOn(chat, id) });
  }
  try {
    const state = await patiently(() => getState(id, signal), { signal, lost: LOST });
    if (chat.underWay !== controller) return;
    chat.show(id, turnsOf(state.transcript), state.open);
    chat.end(controller);
    if (state.open) await chat.goOn();
  } catch (problem) {
    if (chat.underWay !== controller) return;
    chat.open = true;
    if (problem instanceof ApiError) {
      showNotice(problem.message, { label: "Try again", act: () => void chat.openState(id) });
    }
  }
}

/**
 * Goes on from what is stored, which may be more or less than what was seen of it.
 * @param {Chat} chat
 * @param {string} id
 */
async function writeOn(chat, id) {
  if (await chat.openState(id) && chat.open) await chat.goOn();
}

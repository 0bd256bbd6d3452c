/**
 * Checks that clients cannot distinguish a fleet whose workers and store are killed from one
 * uninterrupted worker.
 */

import { findModel, openModelTokenizer } from "../../../src/model_files/find_model.ts";
import { renderMessage, REPLY_START } from "../../../src/prompt/chat_template.ts";
import { mapConcurrent } from "../../../src/store/states/map_concurrent.ts";
import { chatWithRetries, getWithRetries, type StateBody } from "./client.ts";
import { runConversations, type Turn, type TurnPosition } from "./conversations.ts";
import { messages, TURNS } from "./dialogue.ts";
import { type Fleet, STORE_KILLS } from "./fleet.ts";
import type { Report } from "./report.ts";

/** Minimum number of worker kills in a run. */
const WORKER_KILLS = 3;

export interface RunOptions {
  conversations: number;
  clients: number;
  signal: AbortSignal;
}

/** Expected texts of each conversation's turns, and of one more turn. */
export type ExpectedTexts = readonly (readonly string[])[];

/** A state id that a client received: at a turn's end, or at the start of a stream that broke. */
type IssuedId = TurnPosition & { id: string };

/** Runs the conversations on one uninterrupted worker. */
export async function runUninterrupted(url: string, options: RunOptions): Promise<ExpectedTexts> {
  const expected: string[][] = Array.from({ length: options.conversations }, () => []);
  const { turns, failures, retries } = await runConversations(url, {
    ...options,
    turns: TURNS + 1,
  });
  if (failures.length > 0 || retries > 0) {
    throw new Error(`The uninterrupted worker failed: ${failures[0] ?? `${retries} times`}`);
  }
  for (const { conversation, turn, reply } of turns) expected[conversation][turn] = reply.text;
  return expected;
}

/** Runs the conversations while workers and store are killed, then checks every state id. */
export async function checkFleet(
  fleet: Fleet,
  { expected, report, every, ...options }: RunOptions & {
    expected: ExpectedTexts;
    report: Report;
    /** Milliseconds between worker kills. */
    every: number;
  },
): Promise<void> {
  const all = options.conversations * TURNS;
  let completed = 0;
  let finished = false;
  const began = performance.now();
  const [kills, { turns, brokenStates, retries, failures }] = await Promise.all([
    fleet.injectFaults(() => finished ? 1 : completed / (all + 1), every),
    runConversations(fleet.proxy.url, { ...options, turns: TURNS, onTurn: () => completed++ })
      .finally(() => finished = true),
  ]);
  const seconds = Math.round((performance.now() - began) / 1000);
  report.add(
    "worker and store kills during the run",
    `${kills.workers} and ${kills.stores} times in ${seconds} s; ${brokenStates.length} streams broke, ` +
      `${retries} requests were retried`,
    kills.workers >= WORKER_KILLS && kills.stores === STORE_KILLS,
  );
  report.add("failed conversations", failures[0] ?? "0", failures.length === 0);
  const isCorrect = ({ conversation, turn, reply }: Turn) =>
    reply.text === expected[conversation][turn];
  report.count("turns equal to an uninterrupted worker's", turns.filter(isCorrect).length, all);
  const later = turns.flatMap((turn) => turn.previous ? { turn, previous: turn.previous } : []);
  const onOtherWorker = later.filter(({ turn, previous }) =>
    turn.reply.worker !== previous.reply.worker
  );
  report.count(
    "turns on a different worker than the previous turn",
    onOtherWorker.length,
    all - all / TURNS,
  );

  const issued = [...turns.map((turn) => ({ ...turn, id: turn.reply.stateId })), ...brokenStates];
  const states = await checkIds(fleet.proxy.url, issued, { ...options, expected, report });
  await checkTokens(turns, states, report);
}

/** Checks that every id resolves and resumes correctly. */
async function checkIds(
  url: string,
  issued: readonly IssuedId[],
  { clients, signal, expected, report }: RunOptions & {
    expected: ExpectedTexts;
    report: Report;
  },
): Promise<Map<string, StateBody>> {
  const states = new Map<string, StateBody>();
  let correct = 0;
  let open = 0;
  await mapConcurrent(issued, clients, async ({ id, conversation, turn }) => {
    const { status, body } = await getWithRetries(`${url}/v1/states/${id}`, { signal });
    if (status !== 200) return;
    states.set(id, body);
    if (body.open) open++;
    const previous = body.transcript.at(-1)!.content;
    const message = body.open ? null : messages(conversation)[turn + 1];
    const request = { message, stateId: id, stream: false };
    const reply = await chatWithRetries(url, request, {
      stats: { retries: 0, brokenStates: [] },
      signal,
    })
      .catch((error) => (signal.throwIfAborted(), { text: `${error}` }));
    const texts = expected[conversation];
    const isCorrect = body.open
      ? previous + reply.text === texts[turn]
      : previous === texts[turn] && reply.text === texts[turn + 1];
    if (isCorrect) correct++;
  });
  report.count("state ids that resolve", states.size, issued.length);
  report.add(
    "state ids that resume with the right text",
    `${correct} of ${issued.length}, ${open} of them open`,
    correct === issued.length,
  );
  return states;
}

/** Checks that a turn processes only the pending tokens of its state and the new text. */
async function checkTokens(
  turns: readonly Turn[],
  states: ReadonlyMap<string, StateBody>,
  report: Report,
): Promise<void> {
  const tokenizer = await openModelTokenizer(await findModel({}));
  let correct = 0;
  let processed = 0;
  let cached = 0;
  for (const { conversation, turn, previous, reply } of turns) {
    const state = previous && states.get(previous.reply.stateId);
    const content = messages(conversation)[turn];
    const newTokens = tokenizer.encode(renderMessage({ role: "user", content })).length +
      tokenizer.encode(REPLY_START).length + (state?.pending_tokens ?? 0);
    const isCorrect = reply.cachedTokens === (state?.tokens ?? 0) &&
      reply.promptTokens - reply.cachedTokens === newTokens;
    if (isCorrect) correct++;
    processed += reply.promptTokens - reply.cachedTokens;
    cached += reply.cachedTokens;
  }
  report.add(
    "turns that process only new tokens",
    `${correct} of ${turns.length}; ${processed} tokens processed, ${cached} cached in states`,
    correct === turns.length,
  );
}

/** Whether a fleet whose workers and store are killed is, to its clients, one uninterrupted worker. */

import { findModel, openModelTokenizer } from "../../../src/model_files/find_model.ts";
import { renderMessage, REPLY_START } from "../../../src/prompt/chat_template.ts";
import { mapConcurrent } from "../../../src/store/states/map_concurrent.ts";
import { persist, persistGet, type StateBody } from "./client.ts";
import { converseAll, type Place, type Turn } from "./conversations.ts";
import { messages, TURNS } from "./dialogue.ts";
import { type Fleet, STORE_KILLS } from "./fleet.ts";
import type { Report } from "./report.ts";

/** Workers that are to be killed in a run, at least. */
const WORKER_KILLS = 3;

export interface RunOptions {
  conversations: number;
  clients: number;
  signal: AbortSignal;
}

/** Texts of each conversation's turns, and of one more. */
export type Wanted = readonly (readonly string[])[];

/** An id that a client was given: at a turn's end, or when a stream began that then broke. */
type Given = Place & { id: string };

/** What one worker says that nobody disturbs. */
export async function uninterrupted(url: string, options: RunOptions): Promise<Wanted> {
  const wanted: string[][] = Array.from({ length: options.conversations }, () => []);
  const { turns, failures, again } = await converseAll(url, { ...options, turns: TURNS + 1 });
  if (failures.length > 0 || again > 0) {
    throw new Error(`The uninterrupted worker failed: ${failures[0] ?? `${again} times`}`);
  }
  for (const { conversation, turn, answer } of turns) wanted[conversation][turn] = answer.text;
  return wanted;
}

/** Lets conversations go on while workers and store are killed, then looks for every id. */
export async function checkFleet(
  fleet: Fleet,
  { wanted, report, every, ...options }: RunOptions & {
    wanted: Wanted;
    report: Report;
    /** Milliseconds between two kills of a worker. */
    every: number;
  },
): Promise<void> {
  const all = options.conversations * TURNS;
  let answered = 0;
  let over = false;
  const began = performance.now();
  const [kills, { turns, broken, again, failures }] = await Promise.all([
    fleet.disturb(() => over ? 1 : answered / (all + 1), every),
    converseAll(fleet.proxy.url, { ...options, turns: TURNS, onTurn: () => answered++ })
      .finally(() => over = true),
  ]);
  const seconds = Math.round((performance.now() - began) / 1000);
  report.add(
    "workers and the store are killed meanwhile",
    `${kills.workers} and ${kills.stores} times in ${seconds} s; ${broken.length} streams broke, ` +
      `${again} answers were asked for again`,
    kills.workers >= WORKER_KILLS && kills.stores === STORE_KILLS,
  );
  report.add("conversations that broke off", failures[0] ?? "0", failures.length === 0);
  const isRight = ({ conversation, turn, answer }: Turn) =>
    answer.text === wanted[conversation][turn];
  report.count("turns as one uninterrupted worker's", turns.filter(isRight).length, all);
  const later = turns.flatMap((turn) => turn.before ? { turn, before: turn.before } : []);
  const moved = later.filter(({ turn, before }) => turn.answer.worker !== before.answer.worker);
  report.count("turns on another worker than the one before", moved.length, all - all / TURNS);

  const given = [...turns.map((turn) => ({ ...turn, id: turn.answer.stateId })), ...broken];
  const states = await checkIds(fleet.proxy.url, given, { ...options, wanted, report });
  await checkTokens(turns, states, report);
}

/** That every id resolves, and goes on as it should. */
async function checkIds(
  url: string,
  given: readonly Given[],
  { clients, signal, wanted, report }: RunOptions & { wanted: Wanted; report: Report },
): Promise<Map<string, StateBody>> {
  const states = new Map<string, StateBody>();
  let right = 0;
  let open = 0;
  await mapConcurrent(given, clients, async ({ id, conversation, turn }) => {
    const { status, body } = await persistGet(`${url}/v1/states/${id}`, { signal });
    if (status !== 200) return;
    states.set(id, body);
    if (body.open) open++;
    const before = body.transcript.at(-1)!.content;
    const message = body.open ? null : messages(conversation)[turn + 1];
    const ask = { message, stateId: id, stream: false };
    const answer = await persist(url, ask, { tally: { again: 0, broken: [] }, signal })
      .catch((error) => (signal.throwIfAborted(), { text: `${error}` }));
    const texts = wanted[conversation];
    const isRight = body.open
      ? before + answer.text === texts[turn]
      : before === texts[turn] && answer.text === texts[turn + 1];
    if (isRight) right++;
  });
  report.count("ids that a client was given and that resolve", states.size, given.length);
  report.add(
    "ids that go on with the right text",
    `${right} of ${given.length}, ${open} of them in the middle of a reply`,
    right === given.length,
  );
  return states;
}

/** That a turn reads what its state has pending, and what is new. */
async function checkTokens(
  turns: readonly Turn[],
  states: ReadonlyMap<string, StateBody>,
  report: Report,
): Promise<void> {
  const tokenizer = await openModelTokenizer(await findModel({}));
  let right = 0;
  let read = 0;
  let cached = 0;
  for (const { conversation, turn, before, answer } of turns) {
    const state = before && states.get(before.answer.stateId);
    const content = messages(conversation)[turn];
    const fresh = tokenizer.encode(renderMessage({ role: "user", content })).length +
      tokenizer.encode(REPLY_START).length + (state?.pending_tokens ?? 0);
    const isRight = answer.cachedTokens === (state?.tokens ?? 0) &&
      answer.promptTokens - answer.cachedTokens === fresh;
    if (isRight) right++;
    read += answer.promptTokens - answer.cachedTokens;
    cached += answer.cachedTokens;
  }
  report.add(
    "turns that read only the new text",
    `${right} of ${turns.length}; ${read} tokens read, ${cached} more kept in states`,
    right === turns.length,
  );
}

/** Streams that are interrupted by the shutdown of a worker and continued by the next one. */

import assert from "node:assert/strict";
import { sendMessage, streamMessage } from "./worker_process.ts";

export interface InterruptedStreams {
  /** Replies without an interruption. */
  uninterrupted: string[];
  turns: { stateId: string; text: string }[];
  /** Exit status of the worker. */
  code: number;
}

/** Stops a worker during several streams. Fails unless every stream ends properly. */
export async function interruptStreams(
  url: string,
  stop: () => Promise<number>,
): Promise<InterruptedStreams> {
  const questions = Array.from({ length: 12 }, (_, i) => {
    return `Tell me a story about a dragon. It is ${i + 3} years old.`;
  });
  const replies = await Promise.all(questions.map((question) => sendMessage(url, question)));
  const uninterrupted = replies.map(({ text }) => text);
  const streams = await Promise.all(questions.map((question) => streamMessage(url, question)));
  let stopped: Promise<number> | undefined;
  const turns = await Promise.all(streams.map(async ({ stateId, deltas }) => {
    let text = "";
    for await (const delta of deltas) {
      text += delta;
      if (text.length > 5) stopped ??= stop();
    }
    return { stateId, text };
  }));
  assert.ok(stopped);
  return { uninterrupted, turns, code: await stopped };
}

/** Continues the interrupted replies and checks that they equal the uninterrupted ones. */
export async function continueStreams(
  url: string,
  { uninterrupted, turns }: InterruptedStreams,
): Promise<void> {
  let open = 0;
  await Promise.all(turns.map(async ({ stateId, text }) => {
    const state = await (await fetch(`${url}/v1/states/${stateId}`)).json();
    assert.equal(state.transcript.at(-1).content, text);
    if (state.open) open++;
    const rest = state.open ? (await sendMessage(url, null, { stateId, maxTokens: 512 })).text : "";
    assert.ok(uninterrupted.includes(text + rest), text + rest);
  }));
  assert.ok(open > 0, "some replies were interrupted");
}

/** What clients say, and what they must be answered: greedy replies of workers that nobody disturbs. */

import assert from "node:assert/strict";
import { sendMessage } from "../e2e/worker_process.ts";
import { messages } from "../fleet/dialogue.ts";

/** A conversation that clients have, each turn with the one right reply. */
export interface Script {
  name: string;
  turns: readonly { message: string; reply: string }[];
}

/** Different conversations. */
const SCRIPTS = 12;
/** Turns of each. */
const TURNS = 5;

/**
 * Scripts with the replies on which two workers agree: each alone, and taking turns. Their engines
 * round differently, so that a reply may be one or the other where two tokens are as probable.
 */
export async function writeScripts([one, two]: readonly [string, string]): Promise<Script[]> {
  const ways = [[one], [two], [one, two], [two, one]];
  const scripts: Script[] = [];
  for (let i = 0; i < SCRIPTS; i++) {
    const said = messages(i).slice(0, TURNS);
    const talks = await Promise.all(ways.map((urls) => haveTalk(urls, said)));
    if (talks.some((replies) => String(replies) !== String(talks[0]))) continue;
    const turns = said.map((message, turn) => ({ message, reply: talks[0][turn] }));
    scripts.push({ name: `script ${i}`, turns });
  }
  assert.ok(scripts.length > SCRIPTS / 2, `workers agree on ${scripts.length} of ${SCRIPTS} talks`);
  return scripts;
}

async function haveTalk(urls: readonly string[], said: readonly string[]): Promise<string[]> {
  const replies: string[] = [];
  let stateId: string | undefined;
  for (const [turn, message] of said.entries()) {
    const url = urls[turn % urls.length];
    const reply = await sendMessage(url, message, {
      ...(stateId === undefined ? {} : { stateId }),
    });
    assert.equal(reply.finishReason, "stop", "a reply of a script ends by itself");
    replies.push(reply.text);
    stateId = reply.stateId;
  }
  return replies;
}

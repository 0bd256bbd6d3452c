/** Scripted conversations with the expected replies: greedy replies of workers without faults. */

import assert from "node:assert/strict";
import { sendMessage } from "../e2e/worker_process.ts";
import { messages } from "../fleet/dialogue.ts";

/** A conversation; each turn has exactly one correct reply. */
export interface Script {
  name: string;
  turns: readonly { message: string; reply: string }[];
}

/** Number of different conversations. */
const SCRIPTS = 12;
/** Turns of each conversation. */
const TURNS = 5;

/**
 * Creates scripts with replies on which two workers agree, each alone and alternating. Their
 * engines round differently, so that replies may differ where two tokens are equally probable.
 */
export async function writeScripts([one, two]: readonly [string, string]): Promise<Script[]> {
  const orders = [[one], [two], [one, two], [two, one]];
  const scripts: Script[] = [];
  for (let i = 0; i < SCRIPTS; i++) {
    const userMessages = messages(i).slice(0, TURNS);
    const runs = await Promise.all(orders.map((urls) => runConversation(urls, userMessages)));
    if (runs.some((replies) => String(replies) !== String(runs[0]))) continue;
    const turns = userMessages.map((message, turn) => ({ message, reply: runs[0][turn] }));
    scripts.push({ name: `script ${i}`, turns });
  }
  assert.ok(
    scripts.length > SCRIPTS / 2,
    `the workers agree on only ${scripts.length} of ${SCRIPTS} conversations`,
  );
  return scripts;
}

async function runConversation(
  urls: readonly string[],
  userMessages: readonly string[],
): Promise<string[]> {
  const replies: string[] = [];
  let stateId: string | undefined;
  for (const [turn, message] of userMessages.entries()) {
    const url = urls[turn % urls.length];
    const reply = await sendMessage(url, message, {
      ...(stateId === undefined ? {} : { stateId }),
    });
    assert.equal(reply.finishReason, "stop", "a scripted reply must finish");
    replies.push(reply.text);
    stateId = reply.stateId;
  }
  return replies;
}

/** Checks that every worker reports states that are damaged in the store. */

import assert from "node:assert/strict";
import { DAMAGES } from "../../store/states/damage.ts";
import { chatWithRetries } from "./client.ts";
import { messages } from "./dialogue.ts";
import type { Fleet } from "./fleet.ts";
import type { Report } from "./report.ts";

export async function checkDamages(
  fleet: Fleet,
  { kv, report, signal }: { kv: Deno.Kv; report: Report; signal: AbortSignal },
): Promise<void> {
  const chat = async (stateId: string | null, turn: number) => {
    const request = { message: messages(0)[turn], stateId, stream: false };
    const stats = { retries: 0, brokenStates: [] };
    return (await chatWithRetries(fleet.proxy.url, request, { stats, signal })).stateId;
  };
  const states: { id: string; other: string }[] = [];
  for (const _ of DAMAGES) {
    const other = await chat(null, 0);
    states.push({ other, id: await chat(other, 1) });
  }
  // Restart the workers, so that none has the states in memory.
  await fleet.restart();
  for (const [i, { name, apply, message }] of DAMAGES.entries()) {
    await report.try(`${name} is reported`, async () => {
      const { id } = states[i];
      await apply(kv, states[i]);
      let text = "";
      for (const { url } of fleet.workers) {
        for (const stream of [false, true]) {
          text = await errorMessage(url, { message: messages(0)[2], stateId: id, stream });
          assert.match(text, message);
        }
      }
      return `status 422 state_damaged, "${text}"`;
    });
  }
}

/** Returns the error message of a worker, which must not generate a reply. */
async function errorMessage(
  url: string,
  { message, stateId, stream }: { message: string; stateId: string; stream: boolean },
): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({
      messages: [{ role: "user", content: message }],
      temperature: 0,
      state_id: stateId,
      stream,
    }),
  });
  const text = await response.text();
  const error = response.status === 200 ? text.match(/data: (\{"error".*\})/)?.[1] : text;
  assert.ok(error, `the worker generated a reply: ${text}`);
  assert.doesNotMatch(text, /"content":"[^"]/);
  const details = JSON.parse(error).error;
  assert.equal(details.code, "state_damaged", details.message);
  return details.message;
}
